"""A stream on a real Flink cluster: TaskManagers that are killed, and a stop with a savepoint that is gone on from."""

import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from beam_patterns.pipelines.runtime.flink import FlinkOptions, make_stream_live
from tests.pipelines.signups import VERIFY, WELCOME, confirmation, signup
from tests.pipelines.test_new_user_signup_kafka import KafkaPlace
from tests.servers import flink, wait_until
from tests.servers.kafka import Cluster as Kafka
from tests.transforms.queues.kafka.kafka_stream import passing
from tests.transforms.queues.kafka.test_kafka import bare, everything, orders, publish, written
from tests.transforms.queues.kafka.test_stream import kept, values

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("flink"), pytest.mark.timeout(900)]


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
    trigger = cluster.ask(f"/jobs/{job}/stop", drain=False)["request-id"]
    state: dict[str, Any] = {}

    def completed() -> bool:
        state.update(cluster.ask(f"/jobs/{job}/savepoints/{trigger}"))
        return state["status"]["id"] == "COMPLETED"

    wait_until(completed, "the savepoint")
    return state["operation"]["location"]


def lose_task_managers(cluster: flink.Cluster) -> None:
    """kill -9 for all, as one of them may have no part of the job; others take their place."""
    for task_manager in [each for each in cluster.task_managers if each.poll() is None]:
        task_manager.kill()
        cluster.add_task_manager()


def test_a_stream_survives_killed_task_managers_and_goes_on_from_a_savepoint(
    flink_streams: flink.Cluster, kafka: Kafka
) -> None:
    source, target = kafka.topic(3), kafka.topic(2)
    queues = kafka.uri(source, group="flink"), kafka.uri(target)

    def arrive(numbers: range) -> None:
        publish(kafka.uri(source), orders(numbers))
        wanted = kept(range(numbers.stop))
        wait_until(lambda: written(kafka, target) >= len(wanted) and values(kafka, target) >= wanted, f"{numbers}", 300)

    start(flink_streams, *queues)
    arrive(range(2_000))
    lose_task_managers(flink_streams)
    killed = time.monotonic()
    arrive(range(2_000, 4_000))
    print(f"recovered {time.monotonic() - killed:.1f} s after the last kill")

    savepoint = stopped(flink_streams, flink_streams.running_job())
    publish(kafka.uri(source), orders(range(4_000, 5_000)))
    start(flink_streams, *queues, savepoint)
    arrive(range(5_000, 6_000))

    results = everything(kafka, target)
    assert {m.value for m in results} == kept(range(6_000))
    once = {m.attribute("message_id"): m for m in results}
    assert bare(list(once.values())) == bare([m for m in orders(range(6_000)) if m.json()["number"] % 10])


def test_who_waits_for_a_confirmation_outlives_killed_task_managers(
    flink_streams: flink.Cluster, kafka: Kafka, tmp_path: Path
) -> None:
    place, flags = KafkaPlace(tmp_path, kafka), [part for flag in flink_streams.flags for part in flag.split("=", 1)]
    place.put("signups", signup("ann"), b"broken")
    place.put_at("signups", time.time() - 7200, signup("cho"))
    place.put_at("confirmations", time.time() - 7200, confirmation("zoe"))
    stream = ["--streaming", "true", "--expire_after", "1h", "--checkpointing_interval", "2000"]
    child = place.start(*flags, *stream)
    try:
        wait_until(
            lambda: len(place.mailed()) == 2 and not place.read("signups", "new_user_signup"), "the sign-ups", 300
        )
        lose_task_managers(flink_streams)
        place.put("confirmations", confirmation("ann"))
        wait_until(lambda: len(place.mailed()) == 3, "the one who confirmed later", 300)
        wait_until(lambda: len(place.messages("expired")) == 2, "those who waited too long", 300)
        wait_until(lambda: len(place.subscriptions()) == 1, "the subscription", 300)
    finally:
        child.kill()
        said = child.communicate()[0]
    assert place.mailed() == [
        ("ann@example.com", VERIFY),
        ("ann@example.com", WELCOME),
        ("cho@example.com", VERIFY),
    ], said
    assert place.subscriptions() == [("ann", "email", "ann@example.com")]
    assert sorted(m.json()["user_id"] for m in place.messages("expired")) == ["cho", "zoe"]
