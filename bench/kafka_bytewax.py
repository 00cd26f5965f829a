"""The flow of kafka_flow.py in bytewax with its own connectors. It imports nothing of this project.

python bench/kafka_bytewax.py SERVERS SOURCE EMAIL SMS
"""

import json
import resource
import sys
import time

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main


def kept(message):
    """The decoded user and the message, if the user has opted in."""
    user = orjson.loads(message.value)
    return (user, message) if user["opt_in"] else None


def wants_email(pair):
    """Whether the user is in the half that gets an email."""
    return pair[0]["channel"] == "email"


def sent(pair):
    """The message for the sink, unchanged."""
    return KafkaSinkMessage(pair[1].key, pair[1].value)


def dataflow(servers: str, source: str, email: str, sms: str) -> Dataflow:
    """Filters and splits, with the client settings of the other contestants."""
    flow = Dataflow("kafka_flow")
    prefetch = {"queued.min.messages": "1000000", "fetch.queue.backoff.ms": "10"}
    written = {
        "enable.idempotence": "true",
        "compression.type": "lz4",
        "linger.ms": "50",
        "batch.num.messages": "100000",
    }
    read = op.input("read", flow, KafkaSource([servers], [source], tail=False, batch_size=10_000, add_config=prefetch))
    split = op.branch("split", op.filter_map("keep", read, kept), wants_email)
    for name, stream, topic in (("email", split.trues, email), ("sms", split.falses, sms)):
        op.output(f"write-{name}", op.map(f"as-{name}", stream, sent), KafkaSink([servers], topic, add_config=written))
    return flow


if __name__ == "__main__":
    begun = time.perf_counter()
    run_main(dataflow(*sys.argv[1:]))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "seconds": time.perf_counter() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(took))
