"""Kafka to Kafka: filter and split against a hand-written loop over the same client.

    python bench/kafka_flow.py [--records 5000000] [--rounds 3] [--client confluent] [--contestants loop,FnApiRunner:2]

JSON records of about 180 bytes, lz4, in 4 partitions; 40 % are kept and split into two topics. The bench starts a
broker; each contestant runs in its own process, in turn, and ratios compare medians. FnApiRunner:2 is FnApiRunner
with two worker processes, which for a hand-written loop takes more than an option. The claims: at least 0.8 of the
loop and 2.5 times bytewax with confluent-kafka, 0.9 of the loop with kafka-python, 0.45 on Prism.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from tests.servers import CACHE, kafka, once, prism

KEPT = 0.4


def opted_in(user: dict[str, Any]) -> bool:
    """True for two of five."""
    return user["opt_in"]


def wants_email(user: dict[str, Any]) -> bool:
    """True for half of them."""
    return user["channel"] == "email"


def record(n: int) -> Message:
    """A message of about 180 bytes."""
    return Message(
        b'{"user":"user-%09d","opt_in":%s,"channel":"%s","name":"Ann Example","city":"Springfield","address":'
        b'"%d Evergreen Terrace","signed_up":"2026-01-31T12:00:00Z","score":%d}'
        % (n, b"true" if n % 5 < 2 else b"false", b"email" if n % 2 else b"sms", n % 1000, n),
        key=b"user-%09d" % n,
    )


def loop_confluent(servers: str, source: str, email: str, sms: str) -> None:
    """As an expert in the client would write it."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "loop",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 10,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 500_000,
        }
    )
    partitions = consumer.list_topics(source).topics[source].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(source, p))[1] for p in partitions}
    consumer.assign([TopicPartition(source, p, 0) for p in partitions])
    remaining = sum(ends.values())
    while remaining:
        for message in consumer.consume(10_000, 0.1):
            remaining -= 1
            value = message.value()
            user = orjson.loads(value)
            if user["opt_in"]:
                topic = email if user["channel"] == "email" else sms
                while True:
                    try:
                        producer.produce(topic, value, message.key())
                        break
                    except BufferError:
                        producer.poll(0.05)
        producer.poll(0)
    producer.flush()
    consumer.commit(offsets=[TopicPartition(source, p, end) for p, end in ends.items()], asynchronous=False)


def loop_kafka_python(servers: str, source: str, email: str, sms: str) -> None:
    """The same with the other client."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.structs import OffsetAndMetadata

    consumer = KafkaConsumer(
        bootstrap_servers=servers, group_id="loop", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = KafkaProducer(bootstrap_servers=servers, compression_type="lz4", linger_ms=50, batch_size=262_144)
    places = [TopicPartition(source, p) for p in range(4)]
    ends = consumer.end_offsets(places)
    consumer.assign(places)
    consumer.seek_to_beginning(*places)  # Earlier rounds have moved the group's position.
    remaining = sum(ends.values())
    while remaining:
        for messages in consumer.poll(100, max_records=10_000).values():
            remaining -= len(messages)
            for message in messages:
                user = orjson.loads(message.value)
                if user["opt_in"]:
                    producer.send(email if user["channel"] == "email" else sms, message.value, message.key)
    producer.flush()
    consumer.commit({place: OffsetAndMetadata(end, "", -1) for place, end in ends.items()})


def ours(servers: str, source: str, email: str, sms: str, *flags: str) -> None:
    """The same with the patterns."""
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
    """Runs one contestant, in this process, and prints what it took without the imports, as bytewax does."""
    chosen = os.environ.get("BEAM_PATTERNS_KAFKA_CLIENT", "confluent")
    importlib.import_module({"confluent": "confluent_kafka", "kafka-python": "kafka"}[chosen])
    if name != "loop":
        importlib.import_module("apache_beam.runners.portability.fn_api_runner")
    start = time.perf_counter()
    if name == "loop":
        (loop_confluent if chosen == "confluent" else loop_kafka_python)(*topics)
    elif name == "Prism":
        with prism.running() as endpoint:
            start = time.perf_counter()
            flags = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
            ours(*topics, *flags)
    else:
        runner, _, workers = name.partition(":")
        several = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"] if workers else []
        ours(*topics, f"--runner={runner}", *several)
    own, workers = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    took = {
        "seconds": time.perf_counter() - start,
        "cpu": own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime,
        "mb": max(own.ru_maxrss, workers.ru_maxrss) / 1024,
    }
    print(json.dumps(took))


def bytewax() -> Path:
    """The Python of a separate environment with bytewax, created once."""
    folder = CACHE / "bytewax-0.21.1"

    def make() -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        needed = ["bytewax==0.21.1", "confluent-kafka", "orjson"]
        subprocess.run([folder / "venv/bin/python", "-m", "pip", "install", "--quiet", *needed], check=True)

    once(folder, make)
    return folder / "venv/bin/python"


def measure(name: str, cluster: kafka.Cluster, source: str, records: int) -> dict[str, float]:
    """Runs a contestant in its own process with new topics, and counts what it wrote."""
    email, sms = cluster.topic(4), cluster.topic(4)
    topics = [cluster.servers, source, email, sms]
    command = [sys.executable, __file__, "--contestant", name, "--topics", *topics]
    if name == "bytewax":
        command = [bytewax(), Path(__file__).with_name("kafka_bytewax.py"), *topics]
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
    """Runs all contestants in turn and prints their rates."""
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
            f"{cpu / arguments.records * 1e6:5.2f} µs CPU per record  peak {peak:,.0f} MB"
        )
    return None


if __name__ == "__main__":
    main()
