"""A bounded flow with dead letters on a real Flink cluster: two TaskManagers, workers in processes of their own."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetters, Filter, Merger, Splitter, WorkQueue
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from tests.servers import flink

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("flink")]


def is_divisor(order: dict[str, Any]) -> bool:
    """Raises on every fifth, drops every fifth."""
    return 10 // (order["n"] % 5) < 10


def is_odd(order: dict[str, Any]) -> bool:
    """Half of them."""
    return order["n"] % 2 == 1


def run(cluster: flink.Cluster, database: str) -> dict[str, int]:
    """Filter, split, merge; returns the counters of the filter."""
    p = beam.Pipeline(options=PipelineOptions(cluster.flags))
    with ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(f"{database}?topic=dead")) as dead:
        orders = p | ReadFromQueue(f"{database}?topic=orders&group=test")
        kept = orders | Filter(is_divisor).with_view(Message.json).with_error_handler(dead)
        split = kept | Splitter(odd=is_odd).with_view(Message.json).with_error_handler(dead)
        written = split | Merger() | WriteToQueue(f"{database}?topic=out")
    _ = (written, dead.output()) | CommitOffsets(orders)
    result = p.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in counters if c.key.metric.namespace == "Filter"}


def publish(database: str, count: int) -> None:
    """Orders with a number each."""
    writer = open_queue(f"{database}?topic=orders").writer()
    writer.write([Message.of({"n": n}) for n in range(count)])
    writer.flush()
    writer.close()


def values(database: str, topic: str) -> Counter[int]:
    """What is in a topic."""
    queue = open_queue(f"{database}?topic={topic}&group=check")
    return Counter(m.json()["n"] for split in queue.splits() for batch in queue.read(split) for m in batch)


def test_all_tests_on_the_cluster_run_in_one_process(request: pytest.FixtureRequest) -> None:
    assert "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@flink")


def test_a_flow_on_flink_writes_each_record_once_commits_and_finds_nothing_the_second_time(
    flink_cluster: flink.Cluster, tmp_path: Path
) -> None:
    database = f"sqlite://{tmp_path}/queues.db"
    publish(database, 10_000)
    assert run(flink_cluster, database) == {"in": 10_000, "out": 6_000, "dropped": 2_000, "dead": 2_000}
    assert values(database, "out") == Counter(n for n in range(10_000) if n % 5 > 1)
    assert values(database, "dead") == Counter(range(0, 10_000, 5))
    assert run(flink_cluster, database) == {"in": 0, "out": 0, "dropped": 0, "dead": 0}
    assert values(database, "out").total() == 6_000


def where_it_runs(_: Message) -> dict[str, int]:
    """Work that tells its process."""
    return {"n": os.getpid()}


def test_items_of_one_part_of_a_queue_are_worked_on_by_all_task_managers(
    flink_cluster: flink.Cluster, tmp_path: Path
) -> None:
    database = f"sqlite://{tmp_path}/queues.db"
    publish(database, 40)
    with beam.Pipeline(options=PipelineOptions([*flink_cluster.flags, "--parallelism=4"])) as p:
        items = p | ReadFromQueue(f"{database}?topic=orders&group=test")
        _ = items | WorkQueue(where_it_runs) | WriteToQueue(f"{database}?topic=out")
    assert len(values(database, "out")) >= 2
