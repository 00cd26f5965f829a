"""Bounded Kafka runs that are killed at random times."""

import random
import subprocess
import sys

import pytest

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Dedupe
from tests import ROOT, SOAK
from tests.servers.kafka import Cluster
from tests.streams import bounded
from tests.transforms.queues.kafka.test_kafka import bare, everything, orders, pending, publish
from tests.transforms.queues.pubsub.pubsub_between import killed

pytestmark = [pytest.mark.integration, pytest.mark.soak]

KILLS = 5 * SOAK


# One client per form, because kills take a while.
@pytest.mark.parametrize(("form", "client"), [("straight", "confluent"), ("grouped", "kafka-python")])
def test_after_kills_every_record_has_its_output_once_after_dedupe(
    kafka: Cluster, monkeypatch: pytest.MonkeyPatch, form: str, client: str
) -> None:
    monkeypatch.setenv("BEAM_PATTERNS_KAFKA_CLIENT", client)
    source, even, odd = kafka.topic(8), kafka.topic(2), kafka.topic(2)
    uris = [kafka.uri(source, group="killed"), kafka.uri(even), kafka.uri(odd)]
    command = [sys.executable, "-m", "tests.transforms.queues.kafka.kafka_run", form, *uris]
    moments, kills, count = random.Random(7), 0, 0  # The same in every run.
    while kills < KILLS:
        assert publish(kafka.uri(source), orders(range(count, count + 1_000))) == []
        count += 1_000
        kills += killed(subprocess.Popen(command, cwd=ROOT), moments.uniform(1, 6))
    subprocess.run(command, cwd=ROOT, check=True)
    assert pending(kafka.uri(source, group="killed")) == []

    kept = [m for n, m in enumerate(orders(range(count))) if n % 10]
    results = everything(kafka, even) + everything(kafka, odd)
    assert {m.value for m in results} == {m.value for m in kept}
    once = run_pattern(Dedupe(), results, bounded)
    assert bare(once["out"]) == bare(kept)
