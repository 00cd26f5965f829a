"""Dedupe: each item once, across windows, with a memory that is bounded by time."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue
from apache_beam.typehints import Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.transforms import Dedupe, ElementError
from beam_patterns.transforms.queues import Message
from tests.running import Lists, Run
from tests.streams import Stamp, bounded, item_of, stream


def timed(p: beam.Pipeline, events: list[tuple[str, int]]) -> Any:
    """Pairs (key, second), at that second."""
    made = p | beam.Create(events, reshuffle=False).with_output_types(Tuple[str, int])
    return made | "Time" >> beam.Map(lambda pair: TimestampedValue(pair, pair[1])).with_output_types(Tuple[str, int])


def test_the_first_of_each_key_passes_and_the_others_are_counted(pipeline: Any) -> None:
    run = Run(pipeline, lambda p, dead: {"first": p | Lists(["a", "B", "b", "A", "a", "c"], str) | Dedupe(str.lower)})
    assert sorted(map(str.lower, run["first"])) == ["a", "b", "c"]
    assert [run.counters["Dedupe", name] for name in ("in", "out", "duplicates")] == [6, 3, 3]


def test_an_item_is_remembered_across_windows_and_keeps_its_window_and_time(pipeline: Any) -> None:
    with pipeline() as p:
        windowed = timed(p, [("a", 3), ("a", 14), ("b", 25)]) | beam.WindowInto(FixedWindows(10))
        first = windowed | Dedupe(key=item_of)
        assert first.element_type == Tuple[str, int]
        assert isinstance(first.windowing.windowfn, FixedWindows)
        seen = first | beam.ParDo(Stamp()) | beam.Map(lambda s: (s[0][0], s[1] - s[0][1], s[1] - s[2] < 10))
        assert_that(seen, equal_to([("a", 0.0, True), ("b", 0.0, True)]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=12), st.integers(1, 10))
def test_in_any_order_what_passes_is_further_apart_than_within_and_what_does_not_is_near_to_what_passed(
    events: list[tuple[str, int]], within: int
) -> None:
    run = Run(bounded, lambda p, dead: {"first": timed(p, events) | Dedupe(key=item_of, within=within)})
    passed = run["first"]
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
        # The late one is near the first, of which nothing is left by then.
        assert_that(first, equal_to([("a", "1"), ("a", "late"), ("a", "3"), ("a", "5")]))


def test_messages_are_told_apart_by_their_id(pipeline: Any) -> None:
    messages = [Message(b"x").with_attributes(message_id=b"%d" % (i % 3)) for i in range(9)]
    with pipeline() as p:
        assert_that(p | Lists(messages, Message) | Dedupe(), equal_to(messages[:3]))


def test_a_message_without_an_id_is_a_dead_letter(pipeline: Any) -> None:
    run = Run(
        pipeline,
        lambda p, dead: {"first": p | Lists([Message(b"x")], Message) | Dedupe().with_error_handler(dead)},
    )
    assert [letter.payload for letter in run.dead] == [b"x"]
    assert [run.counters["Dedupe", name] for name in ("in", "out", "duplicates", "dead")] == [1, 0, 0, 1]


def test_without_a_handler_the_run_fails_in_a_sentence() -> None:
    with (
        pytest.raises(ElementError, match="its key raised ValueError: the message has no attribute message_id"),
        bounded() as p,
    ):
        _ = p | Lists([Message(b"x")], Message) | Dedupe()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda p: Dedupe("id"), r"Dedupe\(key\) takes a function of one element, not 'id'"),
        (lambda p: Dedupe(len, within=0), r"Dedupe\(within=0\) takes seconds, more than 0"),
        (lambda p: p | beam.Create(["a"]) | Dedupe(), "knows messages only"),
        (lambda p: p | Stream() | Dedupe(len), "the input is unbounded.*within=3600"),
        (lambda p: p | beam.Create(["a"]) | beam.WindowInto(SlidingWindows(10, 5)) | Dedupe(len), "before WindowInto"),
    ],
)
def test_wrong_use_fails_at_construction(wrong: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        wrong(bounded())
