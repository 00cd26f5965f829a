"""A stream on a real Flink cluster: TaskManagers that are killed, and a stop with a savepoint that is gone on from."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from beam_patterns.pipelines.launch.flink import FlinkOptions, make_stream_live
from tests.queues.kafka_stream import passing
from tests.queues.test_kafka import bare, everything, orders, publish, written
from tests.queues.test_kafka_stream import kept, values

from .servers import flink, wait_until
from .servers.kafka import Cluster as Kafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[flink.Cluster]:
    """One cluster for all tests here."""
    with flink.running() as cluster:
        yield cluster


def ask(cluster: flink.Cluster, path: str, **body: Any) -> Any:
    """Flink's own API."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(
        f"http://127.0.0.1:{cluster.rest}{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def running_job(cluster: flink.Cluster) -> str:
    """The one that runs."""
    found: list[str] = []

    def one_runs() -> bool:
        found[:] = [job["id"] for job in ask(cluster, "/jobs")["jobs"] if job["status"] == "RUNNING"]
        return bool(found)

    wait_until(one_runs, "a running job")
    (job,) = found
    return job


def start(cluster: flink.Cluster, source: str, target: str, savepoint: str | None = None) -> PipelineResult:
    """A stream with the options that the launcher sets, and short checkpoints."""
    options = PipelineOptions([*cluster.flags, "--streaming"])
    options.view_as(FlinkOptions).checkpointing_interval = 2_000
    options.view_as(FlinkOptions).savepoint_path = savepoint
    said = make_stream_live("PortableRunner", options)
    assert said is not None and "checkpointing_interval=2000" in said
    p = beam.Pipeline(options=options)
    passing(p, source, target)
    return p.run()


def stopped(cluster: flink.Cluster, job: str) -> str:
    """Stops a job; where its savepoint is."""
    trigger = ask(cluster, f"/jobs/{job}/stop", drain=False)["request-id"]
    state: dict[str, Any] = {}

    def completed() -> bool:
        state.update(ask(cluster, f"/jobs/{job}/savepoints/{trigger}"))
        return state["status"]["id"] == "COMPLETED"

    wait_until(completed, "the savepoint")
    return state["operation"]["location"]


def test_a_stream_survives_killed_task_managers_and_goes_on_from_a_savepoint(
    cluster: flink.Cluster, kafka: Kafka
) -> None:
    source, target = kafka.topic(3), kafka.topic(2)
    queues = kafka.uri(source, group="flink"), kafka.uri(target)

    def arrive(numbers: range) -> None:
        publish(kafka.uri(source), orders(numbers))
        wanted = kept(range(numbers.stop))
        wait_until(lambda: written(kafka, target) >= len(wanted) and values(kafka, target) >= wanted, f"{numbers}", 300)

    start(cluster, *queues)
    arrive(range(2_000))
    for task_manager in list(cluster.task_managers):  # One of them may have no part of the job.
        task_manager.kill()
        cluster.add_task_manager()
    arrive(range(2_000, 4_000))

    savepoint = stopped(cluster, running_job(cluster))
    publish(kafka.uri(source), orders(range(4_000, 5_000)))
    start(cluster, *queues, savepoint)
    arrive(range(5_000, 6_000))

    results = everything(kafka, target)
    assert {m.value for m in results} == kept(range(6_000))
    once = {m.attribute("message_id"): m for m in results}
    assert bare(list(once.values())) == bare([m for m in orders(range(6_000)) if m.json()["number"] % 10])
