"""A message's time from a field of its JSON."""

from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.pvalue import PCollection

from beam_patterns.testing import run_pattern
from beam_patterns.transforms.queues import Message, ReadFromQueue
from beam_patterns.transforms.queues.event_time import event_time_of
from tests.servers import wait_until
from tests.servers.kafka import Cluster
from tests.servers.pubsub import Service
from tests.streams import bounded
from tests.transforms.queues.kafka import kafka_stream
from tests.transforms.queues.kafka.test_kafka import NOW, everything
from tests.transforms.queues.pubsub.pubsub_between import publish


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_772_357_400, 1_772_357_400.0),
        (0.25, 0.25),
        ("2026-03-01T09:30:00Z", 1_772_357_400.0),
        ("2026-03-01T10:30:00.5+01:00", 1_772_357_400.5),
        ("2026-03-01T09:30:00", 1_772_357_400.0),
    ],
)
def test_a_number_is_seconds_and_text_is_a_date_and_time(value: object, seconds: float) -> None:
    assert event_time_of(Message.of({"at": value}), "at") == seconds  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [None, True, "soon", 1_772_357_400_000, [1]])
def test_any_other_value_is_refused_and_shown(value: object) -> None:
    with pytest.raises(ValueError, match=r"the field 'at' is '.*', neither a time such as .* nor seconds since 1970"):
        event_time_of(Message.of({"at": value}), "at")  # type: ignore[attr-defined]


def messages() -> list[Message]:
    """Two messages with a time and two without."""
    at = ["2026-03-01T09:30:00Z", 60, "soon"]
    return [*(Message.of({"n": n, "at": value}) for n, value in enumerate(at)), Message(b"broken")]  # type: ignore[attr-defined]


def assert_event_times(uri: str) -> None:
    """Messages with a time have it as their timestamp; the others are dead letters."""

    def build(p: beam.Pipeline, dead: object) -> dict[str, PCollection]:
        return {"read": p | ReadFromQueue(uri).with_error_handler(dead)}  # type: ignore[arg-type]

    run = run_pattern(build, make=bounded)
    assert sorted((m.json()["n"], m.timestamp) for m in run["read"]) == [(0, 1_772_357_400.0), (1, 60.0)]
    assert sorted(letter.payload for letter in run.dead) == sorted(m.value for m in messages()[2:])  # type: ignore[type-var]
    assert (run.counters["EventTime", "in"], run.counters["EventTime", "dead"]) == (4, 2)


@pytest.mark.integration
def test_kafka_uses_the_time_of_a_field(kafka: Cluster) -> None:
    topic = kafka.topic()
    assert publish(kafka.uri(topic), messages()) == []
    assert_event_times(kafka.uri(topic, group="g", time="at"))


@pytest.mark.integration
def test_pub_sub_uses_the_time_of_a_field(pubsub: Service) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    assert publish(pubsub.uri(topic), messages()) == []
    assert_event_times(pubsub.uri(subscription, idle="2", time="at"))


@pytest.mark.integration
def test_windows_of_a_stream_use_the_field(kafka: Cluster, streaming: Callable[[], beam.Pipeline]) -> None:
    source, target = kafka.topic(), kafka.topic()
    begin = NOW // 10 * 10 - 1_000
    publish(kafka.uri(source), [Message.of({"at": begin + n}) for n in range(25)])  # type: ignore[attr-defined]
    p = streaming()
    kafka_stream.counting(p, kafka.uri(source, group="windows", time="at"), kafka.uri(target))
    result = p.run()

    def counted() -> dict[int, int]:
        return {m.json()["window"]: m.json()["count"] for m in everything(kafka, target)}

    try:
        wait_until(lambda: len(counted()) == 3, "all windows")
    finally:
        result.cancel()
    assert counted() == {begin: 10, begin + 10: 10, begin + 20: 5}
