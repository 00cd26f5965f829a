"""DeadLetter and DeadLetters: what is kept of a failure."""

import json
import time
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.error_handling import ErrorHandler
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.testing.collect import Collect
from beam_patterns.transforms import DeadLetter, DeadLetters, Filter
from beam_patterns.transforms.queues import Message
from tests.running import Run


def fails(kind: type[Exception], said: str) -> DeadLetter:
    """A letter about an error that was really raised."""
    try:
        raise_it(kind, said)
    except Exception as error:
        return DeadLetter.of(Message(b"payload"), error, step="Work")
    raise AssertionError


def raise_it(kind: type[Exception], said: str) -> None:
    """A frame of user code."""
    raise kind(said)


def test_a_message_keeps_everything_it_had() -> None:
    message = Message(b"\xff\x00", key=b"k", attributes=(("a", b"1"), ("a", b"2")), timestamp=5.0, source=("t", 1, 7))
    before = time.time()
    letter = DeadLetter.of(message, ValueError("no"), step="Work", attempts=3, pipeline="job")
    assert before <= letter.first_failed_at == letter.last_failed_at <= time.time()
    assert letter[:7] == (b"\xff\x00", b"k", (("a", b"1"), ("a", b"2")), "t/1/7", 5.0, "Work", 3)
    assert (letter.error_type, letter.error_message, letter.pipeline, letter.version) == ("ValueError", "no", "job", 1)


def test_failures_of_one_kind_have_one_fingerprint_whatever_they_say() -> None:
    assert fails(ValueError, "user 1").fingerprint == fails(ValueError, "user 2").fingerprint
    assert fails(ValueError, "user 1").fingerprint != fails(KeyError, "user 1").fingerprint


def test_failures_in_a_library_are_told_apart_by_where_the_user_called_it() -> None:
    assert fails_in(decode, "{").fingerprint == fails_in(decode, "[1, 2").fingerprint, "whatever frames follow"
    assert fails_in(decode, "{").fingerprint != fails_in(decode_again, "{").fingerprint


def fails_in(work: Any, text: str) -> DeadLetter:
    """A letter about what `work` raises."""
    (letter,) = run_pattern(Filter(work), [text]).dead
    return letter


def decode(text: str) -> Any:
    """The error is raised in the standard library, four frames below."""
    return json.loads(text)


def decode_again(text: str) -> Any:
    """The same elsewhere."""
    return json.loads(text)


def test_beam_s_own_records_of_one_kind_have_one_fingerprint_whatever_the_cause_said() -> None:
    def graph(p: beam.Pipeline, dead: ErrorHandler) -> dict[str, Any]:
        return {"out": p | beam.Create(["user 1", "user 2"]) | "Find" >> beam.Map(find).with_error_handler(dead)}

    letters = Run(lambda: beam.Pipeline("FnApiRunner"), graph).dead
    assert [letter.error_message.startswith("ValueError") for letter in letters] == [True, True]
    assert len({letter.fingerprint for letter in letters}) == 1


def find(name: str) -> Any:
    """A cause whose text differs."""
    try:
        return {}[name]
    except KeyError as error:
        raise ValueError("nobody") from error


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("a file called \udcff"), "a file called \\udcff"), (_UnspeakableError(), "")]
)
def test_what_an_error_says_can_always_be_written(error: Exception, said: str) -> None:
    letter = DeadLetter.of(b"x", error, step="s")
    assert letter.error_message == said
    assert DeadLetter.from_message(letter.as_message()) == letter


def test_the_traceback_shows_the_user_s_frames() -> None:
    assert "raise kind(said)" in fails(ValueError, "no").traceback
    assert "dead_letters.py" not in fails(ValueError, "no").traceback.replace("test_dead_letters.py", "")


class Point(NamedTuple):
    """An element that is no message."""

    x: int


def test_an_element_that_is_no_message_keeps_its_coder_s_bytes_and_a_readable_form() -> None:
    coder = registry.get_coder(Point)
    letter = DeadLetter.of(Point(3), ValueError("no"), step="Work", coder=coder)
    assert coder.decode(letter.payload) == Point(3)
    assert letter.attributes == (("readable", b'{"x":3}'),)


def test_bytes_and_text_are_their_own_payload() -> None:
    assert DeadLetter.of(b"\xff", ValueError(), step="s").payload == b"\xff"
    assert DeadLetter.of("zoé", ValueError(), step="s").payload == "zoé".encode()


def test_an_element_nobody_can_encode_still_becomes_a_letter() -> None:
    letter = DeadLetter.of(lambda: None, ValueError("no"), step="s", coder=registry.get_coder(Point))
    assert letter.payload is not None
    assert letter.payload.startswith(b"<function")


def test_a_long_message_is_cut() -> None:
    assert len(fails(ValueError, "x" * 20_000).error_message) == 10_000


names = st.text(min_size=1).filter(lambda name: not name.startswith(("__connect", "beam_patterns")))


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(names, st.binary()), max_size=3).map(tuple),
    st.none() | st.floats(0, 4e9),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_letter_comes_back_from_a_queue_as_it_went_in(
    value: bytes | None, key: bytes | None, attributes: Any, timestamp: float | None, said: str
) -> None:
    letter = DeadLetter.of(Message(value, key, attributes, timestamp, ("q", 0, 1)), ValueError(said), step="Work")
    assert DeadLetter.from_message(letter.as_message()) == letter


def test_a_message_out_of_another_s_dead_letter_queue_keeps_what_that_said() -> None:
    theirs = (("__connect.errors.topic", b"first"), ("lang", b"en"), ("__connect.errors.stage", b"VALUE_CONVERTER"))
    letter = DeadLetter.of(Message(b"x", attributes=theirs, source=("q", 0, 1)), ValueError("no"), step="Work")
    assert DeadLetter.from_message(letter.as_message()) == letter
    of_a_letter = DeadLetter.of(letter.as_message(), ValueError("no"), step="Again")
    assert DeadLetter.from_message(of_a_letter.as_message()) == of_a_letter


def test_beam_s_own_error_records_become_letters_too() -> None:
    def graph(p: beam.Pipeline, dead: ErrorHandler) -> dict[str, Any]:
        return {"out": p | beam.Create([b"1", b"x"]) | "Parse" >> beam.Map(int).with_error_handler(dead)}

    run = Run(lambda: beam.Pipeline("FnApiRunner"), graph)
    (letter,) = run.dead
    assert run["out"] == [1]
    assert (letter.payload, letter.error_type) == (b"x", "ValueError")
    assert "invalid literal" in letter.error_message


def test_a_letter_knows_the_job() -> None:
    seen, job = Collect(), PipelineOptions(job_name="nightly")
    with beam.Pipeline("FnApiRunner", job) as p, ErrorHandler(DeadLetters() | seen) as dead:
        _ = p | beam.Create([0]) | Filter(lambda n: 1 / n).with_error_handler(dead)
    assert [letter.pipeline for letter in seen.elements] == ["nightly"]


def test_a_letter_takes_the_element_s_timestamp_where_the_message_has_none() -> None:
    seen = Collect()
    with beam.Pipeline("FnApiRunner") as p, ErrorHandler(DeadLetters() | seen) as dead:
        stamped = p | beam.Create([0]) | beam.Map(lambda n: beam.window.TimestampedValue(n, 12.5))
        _ = stamped | Filter(lambda n: 1 / n).with_error_handler(dead)
    assert [letter.event_time for letter in seen.elements] == [12.5]
