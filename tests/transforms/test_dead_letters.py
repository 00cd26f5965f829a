"""DeadLetter and DeadLetters: the record of a failure."""

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


def fails(kind: type[Exception], text: str) -> DeadLetter:
    """The letter for an error that was raised."""
    try:
        raise_it(kind, text)
    except Exception as error:
        return DeadLetter.of(Message(b"payload"), error, step="Work")
    raise AssertionError


def raise_it(kind: type[Exception], text: str) -> None:
    """A frame of user code."""
    raise kind(text)


def test_a_letter_has_all_fields_of_its_message() -> None:
    message = Message(b"\xff\x00", key=b"k", attributes=(("a", b"1"), ("a", b"2")), timestamp=5.0, source=("t", 1, 7))
    before = time.time()
    letter = DeadLetter.of(message, ValueError("no"), step="Work", attempts=3, pipeline="job")
    assert before <= letter.first_failed_at == letter.last_failed_at <= time.time()
    assert letter[:7] == (b"\xff\x00", b"k", (("a", b"1"), ("a", b"2")), "t/1/7", 5.0, "Work", 3)
    assert (letter.error_type, letter.error_message, letter.pipeline, letter.version) == ("ValueError", "no", "job", 1)


def test_failures_of_one_kind_have_one_fingerprint_whatever_their_text() -> None:
    assert fails(ValueError, "user 1").fingerprint == fails(ValueError, "user 2").fingerprint
    assert fails(ValueError, "user 1").fingerprint != fails(KeyError, "user 1").fingerprint


@pytest.mark.integration
def test_failures_in_a_library_are_distinguished_by_the_calling_user_code() -> None:
    assert fails_in(decode, "{").fingerprint == fails_in(decode, "[1, 2").fingerprint, "other frames follow"
    assert fails_in(decode, "{").fingerprint != fails_in(decode_again, "{").fingerprint


def fails_in(work: Any, text: str) -> DeadLetter:
    """The letter for the error that `work` raises."""
    (letter,) = run_pattern(Filter(work), [text]).dead
    return letter


def decode(text: str) -> Any:
    """Raises an error in the standard library, four frames further down."""
    return json.loads(text)


def decode_again(text: str) -> Any:
    """As `decode`, in another place."""
    return json.loads(text)


def test_beams_error_records_of_one_kind_have_one_fingerprint_whatever_the_text_of_the_cause() -> None:
    def graph(p: beam.Pipeline, dead: ErrorHandler) -> dict[str, Any]:
        return {"out": p | beam.Create(["user 1", "user 2"]) | "Find" >> beam.Map(find).with_error_handler(dead)}

    letters = run_pattern(graph).dead
    assert [letter.error_message.startswith("ValueError") for letter in letters] == [True, True]
    assert len({letter.fingerprint for letter in letters}) == 1


def find(name: str) -> Any:
    """Raises an error whose cause has a different text for each name."""
    try:
        return {}[name]
    except KeyError as error:
        raise ValueError("not found") from error


class _NoTextError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text"), [(ValueError("a file called \udcff"), "a file called \\udcff"), (_NoTextError(), "")]
)
def test_the_text_of_any_error_can_be_written(error: Exception, text: str) -> None:
    letter = DeadLetter.of(b"x", error, step="s")
    assert letter.error_message == text
    assert DeadLetter.from_message(letter.as_message()) == letter


def test_the_traceback_shows_the_frames_of_user_code() -> None:
    assert "raise kind(text)" in fails(ValueError, "no").traceback
    assert "dead_letters.py" not in fails(ValueError, "no").traceback.replace("test_dead_letters.py", "")


class Point(NamedTuple):
    """An element that is not a message."""

    x: int


def test_the_letter_of_another_element_has_its_encoded_bytes_and_a_readable_form() -> None:
    coder = registry.get_coder(Point)
    letter = DeadLetter.of(Point(3), ValueError("no"), step="Work", coder=coder)
    assert coder.decode(letter.payload) == Point(3)
    assert letter.attributes == (("readable", b'{"x":3}'),)


def test_bytes_and_text_are_their_own_payload() -> None:
    assert DeadLetter.of(b"\xff", ValueError(), step="s").payload == b"\xff"
    assert DeadLetter.of("zoé", ValueError(), step="s").payload == "zoé".encode()


def test_an_element_that_cannot_be_encoded_becomes_a_letter() -> None:
    letter = DeadLetter.of(lambda: None, ValueError("no"), step="s", coder=registry.get_coder(Point))
    assert letter.payload is not None
    assert letter.payload.startswith(b"<function")


def test_a_long_error_message_is_cut() -> None:
    assert len(fails(ValueError, "x" * 20_000).error_message) == 10_000


names = st.text(min_size=1).filter(lambda name: not name.startswith(("__connect", "beam_patterns")))


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(names, st.binary()), max_size=3).map(tuple),
    st.none() | st.floats(0, 4e9),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_letter_is_unchanged_after_conversion_to_a_message_and_back(
    value: bytes | None, key: bytes | None, attributes: Any, timestamp: float | None, text: str
) -> None:
    letter = DeadLetter.of(Message(value, key, attributes, timestamp, ("q", 0, 1)), ValueError(text), step="Work")
    assert DeadLetter.from_message(letter.as_message()) == letter


def test_a_message_from_another_programs_dead_letter_queue_keeps_its_attributes() -> None:
    theirs = (("__connect.errors.topic", b"first"), ("lang", b"en"), ("__connect.errors.stage", b"VALUE_CONVERTER"))
    letter = DeadLetter.of(Message(b"x", attributes=theirs, source=("q", 0, 1)), ValueError("no"), step="Work")
    assert DeadLetter.from_message(letter.as_message()) == letter
    of_a_letter = DeadLetter.of(letter.as_message(), ValueError("no"), step="Again")
    assert DeadLetter.from_message(of_a_letter.as_message()) == of_a_letter


def test_beams_error_records_become_letters() -> None:
    def graph(p: beam.Pipeline, dead: ErrorHandler) -> dict[str, Any]:
        return {"out": p | beam.Create([b"1", b"x"]) | "Parse" >> beam.Map(int).with_error_handler(dead)}

    run = run_pattern(graph)
    (letter,) = run.dead
    assert run["out"] == [1]
    assert (letter.payload, letter.error_type) == (b"x", "ValueError")
    assert "invalid literal" in letter.error_message


def test_a_letter_names_the_job() -> None:
    seen, job = Collect(), PipelineOptions(job_name="nightly")
    with beam.Pipeline("FnApiRunner", job) as p, ErrorHandler(DeadLetters() | seen) as dead:
        _ = p | beam.Create([0]) | Filter(lambda n: 1 / n).with_error_handler(dead)
    assert [letter.pipeline for letter in seen.elements] == ["nightly"]


def test_a_letter_has_the_elements_timestamp_if_the_message_has_none() -> None:
    seen = Collect()
    with beam.Pipeline("FnApiRunner") as p, ErrorHandler(DeadLetters() | seen) as dead:
        stamped = p | beam.Create([0]) | beam.Map(lambda n: beam.window.TimestampedValue(n, 12.5))
        _ = stamped | Filter(lambda n: 1 / n).with_error_handler(dead)
    assert [letter.event_time for letter in seen.elements] == [12.5]
