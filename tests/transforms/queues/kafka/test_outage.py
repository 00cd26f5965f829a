"""Brokers that die, with three replicas, two of which must be in sync."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from beam_patterns.transforms.queues import Message, QueueError, open_queue
from tests import ROOT
from tests.servers import kafka as kafka_server
from tests.servers import wait_until
from tests.servers.kafka import Cluster
from tests.transforms.queues.kafka.test_kafka import bare, client, everything, orders, pending, publish, written

__all__ = ["client"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

#: Seconds for three brokers to come back on a busy machine.
RETURN = "600"


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    """Three brokers."""
    with kafka_server.running(3) as brokers:
        yield brokers


@pytest.fixture
def cluster(three: Cluster) -> Cluster:
    """The three brokers, restarted if the last test has killed them."""
    three.start()
    return three


class Flow:
    """Starts the flow of kafka_run in a new process and waits until it has written a part."""

    def __init__(self, kafka: Cluster, count: int) -> None:
        self._kafka, self._orders = kafka, orders(range(count))
        self.topics = self.source, self.even, self.odd = [kafka.topic(8), kafka.topic(2), kafka.topic(2)]
        publish(kafka.uri(self.source), self._orders)
        targets = [kafka.uri(topic, patience=RETURN) for topic in (self.even, self.odd)]
        uris = [kafka.uri(self.source, group="flow", patience=RETURN), *targets]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.transforms.queues.kafka.kafka_run", "straight", *uris], cwd=ROOT
        )
        wait_until(lambda: written(kafka, self.even) > 1_000 or self._process.poll() is not None, "some output")
        assert self._process.poll() is None

    def assert_nothing_lost(self) -> None:
        """Asserts that the flow succeeds and each order is written."""
        assert self._process.wait(800) == 0
        assert pending(self._kafka.uri(self.source, group="flow")) == []
        results = everything(self._kafka, self.even) + everything(self._kafka, self.odd)
        once = {m.attribute("message_id"): m for m in results}
        assert bare(list(once.values())) == bare([m for m in self._orders if m.json()["number"] % 10])


def test_a_leader_killed_during_reading_and_writing_loses_nothing(cluster: Cluster) -> None:
    flow = Flow(cluster, 20_000)
    leader = cluster.leader(flow.even)
    leader.kill()
    flow.assert_nothing_lost()


def test_a_cluster_that_is_away_for_half_a_minute_loses_nothing(cluster: Cluster) -> None:
    flow = Flow(cluster, 20_000)
    cluster.kill()
    time.sleep(30)
    cluster.start()
    flow.assert_nothing_lost()


def test_a_read_continues_when_the_leader_dies(cluster: Cluster) -> None:
    topic = cluster.topic()
    publish(cluster.uri(topic), orders(range(30_000)))
    queue = open_queue(cluster.uri(topic, group="g", patience=RETURN))
    (split,) = queue.splits()
    batches = queue.read(split)
    read = list(next(batches))
    cluster.leader(topic).kill()
    for batch in batches:
        read += batch
    assert bare(read) == bare(orders(range(30_000)))


def test_writing_waits_for_a_cluster_that_comes_back(cluster: Cluster) -> None:
    topic = cluster.topic(2)
    writer = open_queue(cluster.uri(topic, patience=RETURN)).writer()
    writer.write(orders(range(1_000)))
    assert writer.flush() == []
    cluster.kill()
    writer.write(orders(range(1_000, 2_000)))
    with ThreadPoolExecutor() as pool:
        flushed = pool.submit(writer.flush)
        time.sleep(10)
        assert not flushed.done()
        cluster.start()
        assert flushed.result() == []
    writer.close()
    assert bare(everything(cluster, topic)) == bare(orders(range(2_000)))


def test_a_cluster_that_stays_away_fails_writing_and_reading_with_a_sentence(cluster: Cluster) -> None:
    topic = cluster.topic()
    uri = cluster.uri(topic, group="g", patience="5")
    publish(uri, orders(range(10)))
    queue = open_queue(uri)
    writer, (split,) = queue.writer(), queue.splits()
    cluster.kill()
    writer.write([Message(b"late")])
    with pytest.raises(QueueError, match=r"did not accept a message.*check that all brokers are up"):
        writer.flush()
    writer.close()
    with pytest.raises(QueueError, match=r"no answer from Kafka"):
        list(queue.read(split))
