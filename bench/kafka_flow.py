"""Throughput from Kafka to Kafka: filter and split, compared with a hand-written loop over the same client.

    python bench/kafka_flow.py [--records 5000000] [--rounds 3] [--client confluent] [--contestants loop,FnApiRunner:2]

The topic holds JSON records of about 180 bytes, with lz4 in 4 partitions; 40 % of them are kept and split into two
topics. The benchmark starts a broker. Contestants run in turn, each in a new process, and ratios compare medians.
FnApiRunner:2 is FnApiRunner with two worker processes, which a hand-written loop can't have for one more option.
Goals: at least 0.8 of the loop and 2.5 times bytewax with confluent-kafka, 0.9 of the loop with kafka-python, 0.45 on
Prism.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from bench.kafka_loop import usage
from tests.servers import CACHE, kafka, once, prism

KEPT = 0.4


def opted_in(user: dict[str, Any]) -> bool:
    """Whether the user is one of the two in five that are kept."""
    return user["opt_in"]


def wants_email(user: dict[str, Any]) -> bool:
    """Whether the user is in the half that gets an email."""
    return user["channel"] == "email"


def record(n: int) -> Message:
    """A record of about 180 bytes."""
    return Message(
        b'{"user":"user-%09d","opt_in":%s,"channel":"%s","name":"Ann Example","city":"Springfield","address":'
        b'"%d Evergreen Terrace","signed_up":"2026-01-31T12:00:00Z","score":%d}'
        % (n, b"true" if n % 5 < 2 else b"false", b"email" if n % 2 else b"sms", n % 1000, n),
        key=b"user-%09d" % n,
    )


def ours(servers: str, source: str, email: str, sms: str, *flags: str) -> None:
    """The same flow with the patterns."""
    uri = f"kafka://{servers}/"
    with beam.Pipeline(options=PipelineOptions(list(flags))) as p:
        users = p | ReadFromQueue(f"{uri}{source}?group=to-{email}")
        split = users | Filter(opted_in).with_view(Message.json) | Splitter(email=wants_email).with_view(Message.json)
        written = (
            split.email | "Email" >> WriteToQueue(uri + email),
            split.otherwise | "Sms" >> WriteToQueue(uri + sms),
        )
        _ = written | CommitOffsets(users)


def contest(name: str, topics: list[str]) -> None:
    """Runs the flow on a runner in this process and prints time, CPU and memory; the time is without imports."""
    chosen = os.environ.get("BEAM_PATTERNS_KAFKA_CLIENT", "confluent")
    importlib.import_module({"confluent": "confluent_kafka", "kafka-python": "kafka"}[chosen])
    importlib.import_module("apache_beam.runners.portability.fn_api_runner")
    start = time.perf_counter()
    if name == "Prism":
        with prism.running() as endpoint:
            start = time.perf_counter()
            flags = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
            ours(*topics, *flags)
    else:
        runner, _, workers = name.partition(":")
        several = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"] if workers else []
        ours(*topics, f"--runner={runner}", *several)
    print(json.dumps(usage(start)))


def bytewax() -> Path:
    """The Python of a separate environment with bytewax, which is created once."""
    folder = CACHE / "bytewax-0.21.1"

    def make() -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        needed = ["bytewax==0.21.1", "confluent-kafka", "orjson"]
        subprocess.run([folder / "venv/bin/python", "-m", "pip", "install", "--quiet", *needed], check=True)

    once(folder, make)
    return folder / "venv/bin/python"


def measure(name: str, cluster: kafka.Cluster, source: str, records: int) -> dict[str, float]:
    """Runs a contestant into new topics, and checks the number of records that it wrote."""
    email, sms = cluster.topic(4), cluster.topic(4)
    topics = [cluster.servers, source, email, sms]
    command = [sys.executable, __file__, "--contestant", name, "--topics", *topics]
    if name in ("loop", "bytewax"):
        python = bytewax() if name == "bytewax" else sys.executable
        command = [python, Path(__file__).with_name(f"kafka_{name}.py"), *topics]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    kept = sum(split.stop for topic in (email, sms) for split in open_queue(cluster.uri(topic, group="n")).splits())
    assert kept == records * KEPT, f"{name} wrote {kept:,} of {records * KEPT:,.0f}"
    return json.loads(done.stdout.splitlines()[-1])


def fill(cluster: kafka.Cluster, records: int) -> str:
    """Creates and fills the source topic."""
    source = cluster.topic(4)
    writer = open_queue(cluster.uri(source)).writer()
    for start in range(0, records, 10_000):
        writer.write([record(n) for n in range(start, min(start + 10_000, records))])
    writer.flush()
    writer.close()
    return source


def main() -> None:
    """Measures all contestants and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", choices=["confluent", "kafka-python"], default="confluent")
    parser.add_argument("--contestants", default="loop,FnApiRunner,FnApiRunner:2,Prism,bytewax")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--topics", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        return contest(arguments.contestant, arguments.topics)
    names = arguments.contestants.split(",")
    with kafka.running() as cluster:
        source = fill(cluster, arguments.records)
        os.environ["BEAM_PATTERNS_KAFKA_CLIENT"] = arguments.client
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name in names:
                found[name].append(measure(name, cluster, source, arguments.records))
    median = {name: statistics.median(one["seconds"] for one in several) for name, several in found.items()}
    for name in names:
        peak, cpu = max(one["mb"] for one in found[name]), min(one["cpu"] for one in found[name])
        rate = arguments.records / median[name]
        others = [other for other in ("loop", "bytewax") if other in names]
        shares = (f"{median[other] / median[name]:4.2f} of {other}  " for other in others)
        print(
            f"{arguments.client:13s}{name:13s}{rate:9,.0f} records/s  {''.join(shares)}"
            f"{cpu / arguments.records * 1e6:5.2f} µs CPU a record  peak {peak:,.0f} MB"
        )
    return None


if __name__ == "__main__":
    main()
