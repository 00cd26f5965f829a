"""Reading Pub/Sub without end, on Prism."""

import random
import time
from collections.abc import Callable

import apache_beam as beam
import pytest

from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue
from tests.servers.pubsub import Service
from tests.transforms.queues.pubsub.pubsub_between import Between, killed, numbered, publish, start, values
from tests.transforms.queues.pubsub.pubsub_run import Straight

pytestmark = pytest.mark.integration


def wait_for(between: Between, seen: set[bytes], wanted: set[bytes]) -> set[bytes]:
    """Reads the target until all wanted values have been seen."""
    deadline = time.monotonic() + 300
    while not wanted <= seen:
        assert time.monotonic() < deadline, f"{len(wanted - seen)} messages have not been written"
        seen |= {message.value or b"" for message in between.written()}
    return seen


def test_a_stream_acknowledges_written_messages_and_continues(
    pubsub: Service, streaming: Callable[[], beam.Pipeline]
) -> None:
    between = Between(pubsub, 1500)
    p = streaming()
    messages = p | ReadFromQueue(pubsub.uri(between.source))
    _ = messages | Straight() | WriteToQueue(pubsub.uri(between.target)) | CommitOffsets(messages)
    result = p.run()
    try:
        first = set(values(numbered(1500)))
        wait_for(between, set(), first)
        second = [Message(b"second %d" % n) for n in range(1500)]
        assert publish(pubsub.uri(between.topic), second) == []
        wait_for(between, set(), first | set(values(second)))
    finally:
        result.cancel()
    assert between.left() == []


def test_a_killed_stream_loses_nothing(pubsub: Service, prism_endpoint: str) -> None:
    between, moments = Between(pubsub, 3000), random.Random(7)
    queues = pubsub.uri(between.source), pubsub.uri(between.target)
    for _ in range(5):
        assert killed(start("stream", *queues, prism_endpoint), moments.uniform(4, 12))
    between.run_out("straight")

    written = between.written()
    ids = {message.attribute("message_id"): message.value for message in written}
    assert set(values(written)) == set(values(numbered(3000)))
    assert sorted(ids.values()) == sorted(values(numbered(3000)))
