"""The flow of kafka_flow.py as a hand-written loop over a Kafka client. It does not import Beam.

python bench/kafka_loop.py SERVERS SOURCE EMAIL SMS
"""

import json
import os
import resource
import sys
import time

import orjson


def loop_confluent(servers: str, source: str, email: str, sms: str) -> None:
    """The loop as an experienced user of confluent-kafka writes it."""
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
    """The same loop with kafka-python."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.structs import OffsetAndMetadata

    consumer = KafkaConsumer(
        bootstrap_servers=servers, group_id="loop", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = KafkaProducer(bootstrap_servers=servers, compression_type="lz4", linger_ms=50, batch_size=262_144)
    places = [TopicPartition(source, p) for p in range(4)]
    ends = consumer.end_offsets(places)
    consumer.assign(places)
    consumer.seek_to_beginning(*places)  # An earlier round has committed offsets.
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


def usage(start: float) -> dict[str, float]:
    """Seconds since the start, CPU seconds, and peak memory in MB, child processes included."""
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": time.perf_counter() - start,
        "cpu": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "mb": max(own.ru_maxrss, children.ru_maxrss) / 1024,
    }


if __name__ == "__main__":
    if os.environ.get("BEAM_PATTERNS_KAFKA_CLIENT", "confluent") == "confluent":
        import confluent_kafka  # noqa: F401 (before the clock starts, as in the other contestants)

        run = loop_confluent
    else:
        import kafka  # noqa: F401

        run = loop_kafka_python
    start = time.perf_counter()
    run(*sys.argv[1:])
    print(json.dumps(usage(start)))
