"""Sharder places keys exactly on the partitions of Kafka's own producer, which is written in Java."""

import random

import pytest

from beam_patterns.transforms import Sharder
from beam_patterns.transforms.queues import open_queue
from tests.servers.kafka import Cluster, tool

pytestmark = pytest.mark.integration


def keys(count: int) -> list[str]:
    """Different words of one to thirty letters, of several alphabets."""
    chosen = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-_ äßéñ例字😀"
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(chosen.choices(letters, k=chosen.randint(1, 30)))] = None
    return list(found)


@pytest.mark.parametrize("shards", [4, 7])
def test_ten_thousand_keys_are_placed_as_the_default_partitioner_places_them(kafka: Cluster, shards: int) -> None:
    topic, words = kafka.topic(shards), keys(10_000)
    properties = ["--reader-property", "parse.key=true"]
    lines = "".join(f"{word}\tv\n" for word in words).encode()
    arguments = ["--bootstrap-server", kafka.servers, "--topic", topic, *properties]
    tool("org.apache.kafka.tools.ConsoleProducer", *arguments, stdin=lines, options=("-Dfile.encoding=UTF-8",))

    queue = open_queue(kafka.uri(topic, group="truth"))
    placed = {
        (message.key or b"").decode(): int(split.partition.split("/")[1])
        for split in queue.splits()
        for batch in queue.read(split)
        for message in batch
    }
    assert sorted(placed) == sorted(words)
    sharder = Sharder(shards)
    assert {word: sharder.place(word) for word in words} == placed
