"""CommitOffsets commits after everything that was made of the messages is written, or not at all."""

from typing import Any
from uuid import uuid4

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetters, Filter
from beam_patterns.transforms.queues import CommitOffsets, Message, Position, ReadFromQueue, WriteToQueue, open_queue


@pytest.fixture
def uri() -> str:
    """A queue of three messages, the last of which is not JSON."""
    uri = f"memory://{uuid4().hex}"
    writer = open_queue(uri).writer()
    writer.write([Message(b"1"), Message(b"2"), Message(b"{")])
    writer.flush()
    return f"{uri}?group=g"


def unread(uri: str) -> int:
    """Number of messages that the group has not read."""
    return sum(split.stop - split.start for split in open_queue(uri).splits())


def with_unread(uri: str, expected: int, written: Any) -> Any:
    """The element. Fails unless the group has `expected` unread messages when it passes."""
    assert unread(uri) == expected
    return written


def fail(unused: Any) -> Any:
    """A sink that fails."""
    raise RuntimeError("the disk is full")


def test_positions_are_committed_after_everything_is_written(pipeline, uri: str) -> None:
    with pipeline() as p:
        messages = p | ReadFromQueue(uri)
        written = messages | WriteToQueue(f"memory://{uuid4().hex}") | beam.Map(lambda w: with_unread(uri, 3, w))
        assert_that(written | CommitOffsets(messages), equal_to([Position("0", 3)]))
    assert unread(uri) == 0


def test_nothing_is_committed_when_a_sink_fails(pipeline, uri: str) -> None:
    with pytest.raises(Exception, match="the disk is full"), pipeline() as p:
        messages = p | ReadFromQueue(uri)
        good = messages | "Good" >> WriteToQueue(f"memory://{uuid4().hex}")
        bad = messages | "Bad" >> beam.Map(fail)
        _ = (good, bad) | CommitOffsets(messages)
    assert unread(uri) == 3


def test_the_commit_waits_for_a_sink_after_a_shuffle(pipeline, uri: str) -> None:
    with pipeline() as p:
        messages = p | ReadFromQueue(uri)
        late = messages | "Spread" >> beam.Reshuffle() | WriteToQueue(f"memory://{uuid4().hex}")
        checked = late | "Again" >> beam.Reshuffle() | beam.Map(lambda w: with_unread(uri, 3, w))
        _ = checked | CommitOffsets(messages)
    assert unread(uri) == 0


def test_the_commit_waits_for_dead_letters(pipeline, uri: str) -> None:
    parked = f"memory://{uuid4().hex}"
    with pipeline() as p:
        with ErrorHandler(
            DeadLetters() | WriteToQueue(parked) | "Check" >> beam.Map(lambda w: with_unread(uri, 3, w))
        ) as dead:
            messages = p | ReadFromQueue(uri)
            kept = messages | Filter(lambda n: n > 1).with_view(Message.json).with_error_handler(dead)
            written = kept | WriteToQueue(f"memory://{uuid4().hex}")
        _ = (written, dead.output()) | CommitOffsets(messages)
    assert unread(uri) == 0
    assert unread(parked) == 1


def test_a_failing_dead_letter_queue_prevents_the_commit(uri: str) -> None:
    with pytest.raises(RuntimeError, match="the disk is full"), beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler(DeadLetters() | "Fail" >> beam.Map(fail)) as dead:
            messages = p | ReadFromQueue(uri)
            kept = messages | Filter(lambda n: n > 1).with_view(Message.json).with_error_handler(dead)
            written = kept | WriteToQueue(f"memory://{uuid4().hex}")
        _ = (written, dead.output()) | CommitOffsets(messages)
    assert unread(uri) == 3


def test_the_output_may_be_windowed(pipeline, uri: str) -> None:
    with pipeline() as p:
        messages = p | ReadFromQueue(uri)
        timed = messages | beam.Map(lambda m: beam.window.TimestampedValue(m, m.source[2] * 100)).with_output_types(
            Message
        )
        windowed = timed | beam.WindowInto(beam.window.FixedWindows(60))
        written = windowed | WriteToQueue(f"memory://{uuid4().hex}") | beam.Map(lambda w: with_unread(uri, 3, w))
        _ = written | CommitOffsets(messages)
    assert unread(uri) == 0


def test_several_reads_are_committed_together(uri: str) -> None:
    other = f"memory://{uuid4().hex}"
    writer = open_queue(other).writer()
    writer.write([Message(b"x")])
    writer.flush()
    with beam.Pipeline("FnApiRunner") as p:
        one, two = p | "One" >> ReadFromQueue(uri), p | "Two" >> ReadFromQueue(f"{other}?group=g")
        written = (one, two) | beam.Flatten() | WriteToQueue(f"memory://{uuid4().hex}")
        _ = written | CommitOffsets(one, two)
    assert (unread(uri), unread(f"{other}?group=g")) == (0, 0)


def test_a_run_without_messages_commits_nothing(uri: str) -> None:
    open_queue(uri).commit([Position("0", 3)])
    with beam.Pipeline("FnApiRunner") as p:
        messages = p | ReadFromQueue(uri)
        committed = messages | WriteToQueue(f"memory://{uuid4().hex}") | CommitOffsets(messages)
        assert_that(committed, equal_to([]))


def test_wrong_use_fails_at_construction(uri: str) -> None:
    with pytest.raises(ValueError, match=r"^CommitOffsets\(\.\.\.\) needs at least one PCollection that Read"):
        CommitOffsets()
    changed = beam.Pipeline("FnApiRunner") | ReadFromQueue(uri) | beam.Map(str)
    with pytest.raises(TypeError, match="was not made by ReadFromQueue; give CommitOffsets the PCollection"):
        CommitOffsets(changed)
