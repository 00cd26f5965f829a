"""Reading Kafka without end, on Prism."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from beam_patterns.transforms.queues import Message, ReadFromQueue
from tests import ROOT
from tests.servers import wait_until
from tests.servers.kafka import Cluster
from tests.transforms.queues.kafka import kafka_stream
from tests.transforms.queues.kafka.test_kafka import NOW, bare, client, everything, orders, pending, publish, written

__all__ = ["client"]

pytestmark = pytest.mark.integration


def values(kafka: Cluster, topic: str) -> set[bytes]:
    """The values in a topic."""
    return {message.value or b"" for message in everything(kafka, topic)}


def kept(numbers: range) -> set[bytes]:
    """The values that the filter keeps."""
    return {m.value or b"" for m in orders(numbers) if m.json()["number"] % 10}


def grown(kafka: Cluster, topic: str, beyond: int) -> bool:
    """Whether a topic has more messages than that."""
    return written(kafka, topic) > beyond


def gauges(result: PipelineResult) -> dict[str, int]:
    """The gauges of ReadFromQueue by name."""
    found = result.metrics().query(MetricsFilter().with_namespace("ReadFromQueue"))["gauges"]
    return {gauge.key.metric.name: gauge.result.value for gauge in found}


def test_a_stream_continues_and_commits_what_it_has_written(
    kafka: Cluster, streaming: Callable[[], beam.Pipeline]
) -> None:
    source, target = kafka.topic(3), kafka.topic()
    publish(kafka.uri(source), orders(range(1_000)))
    p = streaming()
    kafka_stream.passing(p, kafka.uri(source, group="stream"), kafka.uri(target))
    result = p.run()
    try:
        wait_until(lambda: values(kafka, target) >= kept(range(1_000)), "the backlog")
        publish(kafka.uri(source), orders(range(1_000, 1_500)))
        wait_until(lambda: values(kafka, target) >= kept(range(1_500)), "the later messages")
        wait_until(lambda: not pending(kafka.uri(source, group="stream")), "the commit")
        wait_until(lambda: gauges(result) == {f"lag {source}": 0}, "the gauge")
    finally:
        result.cancel()
    assert values(kafka, target) == kept(range(1_500))


def test_windows_fire_when_the_topic_is_idle_and_while_it_is_not(
    kafka: Cluster, streaming: Callable[[], beam.Pipeline]
) -> None:
    source, target = kafka.topic(2), kafka.topic()
    begin = NOW // 10 * 10 - 100
    publish(kafka.uri(source), [Message(b"%d" % n, b"%d" % n, timestamp=begin + n / 10) for n in range(250)])
    p = streaming()
    kafka_stream.counting(p, kafka.uri(source, group="windows"), kafka.uri(target))
    result = p.run()

    def counted() -> dict[int, int]:
        return {m.json()["window"]: m.json()["count"] for m in everything(kafka, target)}

    def counted_while_more_come() -> bool:
        publish(kafka.uri(source), [Message(b"now", b"%d" % n, timestamp=time.time()) for n in range(8)])
        return len(counted()) > 3

    try:  # The last window is old, so the clock is past its end once the partitions are idle.
        wait_until(lambda: len(counted()) == 3, "all windows, without another record")
        assert counted() == {begin: 100, begin + 10: 100, begin + 20: 50}
        wait_until(counted_while_more_come, "another window while records arrive")
    finally:
        result.cancel()


def test_partitions_that_are_added_later_are_read(kafka: Cluster, streaming: Callable[[], beam.Pipeline]) -> None:
    source, target = kafka.topic(), kafka.topic()
    publish(kafka.uri(source), orders(range(100)))
    p = streaming()
    kafka_stream.passing(p, kafka.uri(source, group="grows", start="latest"), kafka.uri(target))
    result = p.run()
    try:
        kafka.grow(source, 4)
        later = [Message(b'{"number": %d}' % n, b"%d" % n) for n in range(1_000, 1_400)]
        time.sleep(1)  # The producer must know the new partitions too.
        publish(kafka.uri(source), later)
        expected = {m.value for m in later if m.json()["number"] % 10}
        wait_until(lambda: values(kafka, target) >= expected, "the records of the new partitions")
    finally:
        result.cancel()
    assert {m.source[1] for m in everything(kafka, source) if m.value in expected} == {0, 1, 2, 3}  # type: ignore[index]


def test_a_killed_stream_loses_nothing(kafka: Cluster, prism_endpoint: str) -> None:
    source, target = kafka.topic(3), kafka.topic(2)
    command = [
        sys.executable,
        "-m",
        "tests.transforms.queues.kafka.kafka_stream",
        kafka.uri(source, group="killed"),
        kafka.uri(target),
    ]

    def run_until(done: Callable[[], bool]) -> None:
        child = subprocess.Popen([*command, prism_endpoint], cwd=ROOT)
        try:
            wait_until(lambda: done() or child.poll() is not None, "the child's work")
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        finally:
            child.kill()
            child.wait()

    for n in range(4):
        before = written(kafka, target)
        publish(kafka.uri(source), orders(range(n * 2_000, n * 2_000 + 2_000)))
        run_until(partial(grown, kafka, target, before + n * 500))
    run_until(lambda: not pending(kafka.uri(source, group="killed")))
    results = everything(kafka, target)
    assert {m.value for m in results} == kept(range(8_000))
    once = {m.attribute("message_id"): m for m in results}
    assert bare(list(once.values())) == bare([m for m in orders(range(8_000)) if m.json()["number"] % 10])


def test_fn_api_runner_refuses_a_stream_and_names_alternatives(kafka: Cluster) -> None:
    p = beam.Pipeline("FnApiRunner", options=beam.options.pipeline_options.PipelineOptions(["--streaming"]))
    with pytest.raises(ValueError, match=r"leave --streaming out to read what is there, or use PrismRunner"):
        _ = p | ReadFromQueue(kafka.uri("any", group="g"))
