"""Dedupe: each item passes once, across windows, with a memory that is limited by time."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue
from apache_beam.typehints import Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Dedupe, ElementError
from beam_patterns.transforms.queues import Message
from tests import SOAK
from tests.running import Lists
from tests.streams import Stamp, bounded, item_of, stream


def timed(p: beam.Pipeline, events: list[tuple[str, int]]) -> Any:
    """Pairs (key, second), at that second."""
    made = p | beam.Create(events, reshuffle=False).with_output_types(Tuple[str, int])
    return made | "Time" >> beam.Map(lambda pair: TimestampedValue(pair, pair[1])).with_output_types(Tuple[str, int])


def test_the_first_of_each_key_passes_and_the_others_are_counted(pipeline: Any) -> None:
    run = run_pattern(Dedupe(str.lower), Lists(["a", "B", "b", "A", "a", "c"], str), pipeline)
    assert sorted(map(str.lower, run["out"])) == ["a", "b", "c"]
    assert [run.counters["Dedupe", name] for name in ("in", "out", "duplicates")] == [6, 3, 3]


def test_an_item_is_remembered_across_windows_and_keeps_its_window_and_time(pipeline: Any) -> None:
    with pipeline() as p:
        windowed = timed(p, [("a", 3), ("a", 14), ("b", 25)]) | beam.WindowInto(FixedWindows(10))
        first = windowed | Dedupe(key=item_of)
        assert first.element_type == Tuple[str, int]
        assert isinstance(first.windowing.windowfn, FixedWindows)
        seen = first | beam.ParDo(Stamp()) | beam.Map(lambda s: (s[0][0], s[1] - s[0][1], s[1] - s[2] < 10))
        assert_that(seen, equal_to([("a", 0.0, True), ("b", 0.0, True)]))


@pytest.mark.integration
@settings(max_examples=8 * SOAK, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=12), st.integers(1, 10))
def test_in_any_order_passed_elements_are_further_apart_than_within_and_dropped_ones_are_near_to_a_passed_one(
    events: list[tuple[str, int]], within: int
) -> None:
    run = run_pattern(lambda p, dead: timed(p, events) | Dedupe(key=item_of, within=within), None)
    passed = run["out"]
    assert all(
        abs(a[1] - b[1]) > within for i, a in enumerate(passed) for j, b in enumerate(passed) if i != j and a[0] == b[0]
    )
    assert all(any(key == k and abs(time - t) <= within for k, t in passed) for key, time in events)
    assert run.counters["Dedupe", "duplicates"] == len(events) - len(passed)


@pytest.mark.integration
def test_in_a_stream_a_key_is_forgotten_when_the_watermark_is_past(streaming: Any) -> None:
    events = [(("a", "1"), 0), (("a", "2"), 9), 11, (("a", "late"), 5), (("a", "3"), 20), (("a", "4"), 21)]
    with streaming() as p:
        first = p | stream(*events, 100, (("a", "5"), 101)) | Dedupe(key=item_of, within=10)
        # The late one is near the first, which is forgotten by then.
        assert_that(first, equal_to([("a", "1"), ("a", "late"), ("a", "3"), ("a", "5")]))


def test_messages_are_identified_by_their_id(pipeline: Any) -> None:
    messages = [Message(b"x").with_attributes(message_id=b"%d" % (i % 3)) for i in range(9)]
    with pipeline() as p:
        assert_that(p | Lists(messages, Message) | Dedupe(), equal_to(messages[:3]))


def test_a_message_without_an_id_is_a_dead_letter(pipeline: Any) -> None:
    run = run_pattern(Dedupe(), Lists([Message(b"x")], Message), pipeline)
    assert [letter.payload for letter in run.dead] == [b"x"]
    assert [run.counters["Dedupe", name] for name in ("in", "out", "duplicates", "dead")] == [1, 0, 0, 1]


def test_without_a_handler_the_run_fails_with_a_sentence() -> None:
    with (
        pytest.raises(ElementError, match="its key raised ValueError: the message has no attribute message_id"),
        bounded() as p,
    ):
        _ = p | Lists([Message(b"x")], Message) | Dedupe()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda p: Dedupe("id"), r"Dedupe\(key\) must be a function of one element, not 'id'"),
        (lambda p: Dedupe(len, within=0), r"Dedupe\(within=0\): give a number of seconds above 0"),
        (lambda p: p | beam.Create(["a"]) | Dedupe(), "Dedupe\\(\\) without a key accepts messages only"),
        (lambda p: p | Stream() | Dedupe(len), "the input is unbounded.*within=3600"),
        (lambda p: p | beam.Create(["a"]) | beam.WindowInto(SlidingWindows(10, 5)) | Dedupe(len), "before WindowInto"),
    ],
)
def test_wrong_use_raises_at_construction(wrong: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrong(bounded())
