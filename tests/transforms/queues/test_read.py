"""ReadFromQueue: its output, an empty queue, unreadable queues, and wrong use."""

import logging
from collections.abc import Iterator
from uuid import uuid4

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_patterns.testing import run_pattern
from beam_patterns.transforms.queues import (
    Message,
    QueueError,
    QueueUri,
    ReadFromQueue,
    Split,
    UnreadableError,
    open_queue,
)
from beam_patterns.transforms.queues.memory import MemoryQueue
from tests.streams import bounded


@pytest.fixture
def uri() -> str:
    """A queue of three messages."""
    uri = f"memory://{uuid4().hex}"
    writer = open_queue(uri).writer()
    writer.write([Message(b"0"), Message(b"1", b"k", (("a", b"x"),), 5.0), Message(None)])
    writer.flush()
    return uri


def test_messages_are_unchanged_and_have_their_source(pipeline, uri: str) -> None:
    topic = uri.removeprefix("memory://")
    with pipeline() as p:
        assert_that(
            p | ReadFromQueue(uri),
            equal_to(
                [
                    Message(b"0", source=(topic, 0, 0)),
                    Message(b"1", b"k", (("a", b"x"),), 5.0, (topic, 0, 1)),
                    Message(None, source=(topic, 0, 2)),
                ]
            ),
        )


def test_a_read_is_bounded_typed_and_in_batches(uri: str) -> None:
    messages = beam.Pipeline("FnApiRunner") | ReadFromQueue(uri)
    assert (messages.is_bounded, messages.element_type) == (True, Message)


def test_reading_without_committing_reads_the_same_again(uri: str) -> None:
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as p:
            values = p | ReadFromQueue(f"{uri}?group=g") | beam.Map(lambda m: m.value)
            assert_that(values, equal_to([b"0", b"1", None]))


def test_a_queue_without_new_messages_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    uri = f"memory://{uuid4().hex}?group=g"
    with caplog.at_level(logging.INFO), beam.Pipeline("FnApiRunner") as p:
        assert_that(p | ReadFromQueue(uri), equal_to([]))
    assert [r.getMessage() for r in caplog.records if "nothing new" in r.getMessage()] == [f"nothing new in {uri}"]


def test_a_missing_queue_fails_the_run_with_a_sentence(tmp_path) -> None:
    sentence = f"the file {tmp_path}/in.jsonl does not exist; check the path"
    with pytest.raises(QueueError, match=sentence), beam.Pipeline("FnApiRunner") as p:
        _ = p | ReadFromQueue(f"{tmp_path}/in.jsonl")


def test_an_unreadable_part_fails_the_run_without_a_handler(tmp_path) -> None:
    (tmp_path / "in.csv").write_bytes(b"a,b\n1\n")
    sentence = "has 1 fields, but the header names 2"
    with pytest.raises(UnreadableError, match=sentence), beam.Pipeline("FnApiRunner") as p:
        _ = p | ReadFromQueue(f"{tmp_path}/in.csv")


class PartlyReadable(MemoryQueue):
    """Yields an empty batch and an unreadable message between the others."""

    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        for first, *others in super().read(split):
            yield []
            yield UnreadableError("the first message is damaged", first.value, split.start)
            yield others


def test_messages_after_an_empty_batch_and_an_unreadable_part_are_read(uri: str) -> None:
    read = ReadFromQueue(uri)
    read._queue = PartlyReadable(QueueUri.parse(uri))
    run = run_pattern(read, make=bounded)
    assert [message.value for message in run["out"]] == [b"1", None]
    assert [(letter.payload, letter.error_message) for letter in run.dead] == [(b"0", "the first message is damaged")]


def test_a_wrong_uri_fails_at_construction() -> None:
    with pytest.raises(ValueError, match=r"^the queue memory:// has no name; write memory://name$"):
        ReadFromQueue("memory://")
    with pytest.raises(ValueError, match=r"names no group, under which positions are kept; add &group=NAME$"):
        ReadFromQueue("sqlite:///queues.db?topic=orders")
