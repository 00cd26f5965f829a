"""Patterns between Kafka topics as streams on Flink, by their command lines."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import pytest

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from tests.servers import flink, wait_until
from tests.servers.kafka import Cluster as Kafka
from tests.transforms.queues.kafka.test_kafka import everything, pending, publish

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("flink"), pytest.mark.timeout(900)]


class Stream(NamedTuple):
    """What a pipeline is told besides its queues, and by topic what it makes of some numbers; {to} begins all names."""

    argv: list[str]
    wanted: dict[str, set[int]]
    number: Callable[[Message], int]


def number_in(message: Message) -> int:
    """As it came."""
    return message.json()["n"]


NUMBERS = range(300)
STREAMS = {
    "filter_queue": Stream(
        ["--where=item.n % 3 == 0", "--output={to}kept"],
        {"kept": set(NUMBERS[::3])},
        number_in,
    ),
    "split_queue": Stream(
        ["--cases=low: item.n < 100; odd: item.n % 2 == 1", "--output={to}"],
        {"low": set(range(100)), "odd": set(range(101, 300, 2)), "otherwise": set(range(100, 300, 2))},
        number_in,
    ),
    "work_queue": Stream(
        ["--command=echo -n {n}", "--attempts=1", "--output={to}done"], {"done": set(NUMBERS)}, Message.json
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_pattern_between_topics_goes_on_for_ever_and_commits_what_it_has_written(
    name: str, flink_streams: flink.Cluster, kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    source, stream = kafka.topic(2), STREAMS[name]
    to = kafka.uri(f"{source}-")
    for topic in (*stream.wanted, "dead"):
        open_queue(to + topic).create()
    argv = [
        f"--input={kafka.uri(source, group='g')}",
        f"--dead_letters={to}dead",
        *(argument.replace("{to}", to) for argument in stream.argv),
        "--streaming",
        "--checkpointing_interval=2000",
        "--no_wait_until_finish",
    ]
    run = importlib.import_module(f"beam_patterns.pipelines.{name}").run
    assert run([*argv, *flink_streams.flags]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("a stream on Flink: finish_bundle_before_checkpointing, checkpointing_interval=2000")

    def come() -> dict[str, set[int]]:
        topics = {topic: everything(kafka, f"{source}-{topic}") for topic in stream.wanted}
        return {topic: {stream.number(message) for message in messages} for topic, messages in topics.items()}

    for part in (NUMBERS[:200], NUMBERS[200:]):
        publish(kafka.uri(source), [Message(b'{"n": %d}' % n) for n in part] + [Message(b'{"n": ')])
        wanted = {topic: {n for n in numbers if n < part.stop} for topic, numbers in stream.wanted.items()}
        wait_until(lambda wanted=wanted: come() == wanted, f"all up to {part.stop}")
    wait_until(lambda: not pending(kafka.uri(source, group="g")), "the commit")
    letters = [DeadLetter.from_message(message) for message in everything(kafka, f"{source}-dead")]
    assert {letter.payload for letter in letters} == {b'{"n": '}
