"""A bounded run to be killed: python -m tests.queues.kafka_run SOURCE EVEN ODD."""

import logging
import sys
import time

import apache_beam as beam

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue

#: A child process takes its time, so that a kill can fall anywhere.
SLOW = __name__ == "__main__"


def wanted(order: dict[str, int]) -> bool:
    """All but every tenth."""
    if SLOW:
        time.sleep(0.0001)
    return order["number"] % 10 != 0


def is_even(order: dict[str, int]) -> bool:
    """Of the even numbers."""
    return order["number"] % 2 == 0


def run(source: str, even: str, odd: str) -> None:
    """Filter and split, then commit."""
    with beam.Pipeline("FnApiRunner") as p:
        orders = p | ReadFromQueue(source)
        split = orders | Filter(wanted).with_view(Message.json) | Splitter(even=is_even).with_view(Message.json)
        written = (split.even | "Even" >> WriteToQueue(even), split.otherwise | "Odd" >> WriteToQueue(odd))
        _ = written | CommitOffsets(orders)


if SLOW:
    logging.disable(logging.WARNING)
    run(*sys.argv[1:])
