"""A bounded run, which tests kill: python -m tests.transforms.queues.kafka.kafka_run FORM SOURCE EVEN ODD."""

import logging
import sys
import time
from collections.abc import Iterable

import apache_beam as beam

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue

#: A child process works slowly, so that it can be killed at any step.
SLOW = __name__ == "__main__"


def wanted(order: dict[str, int]) -> bool:
    """Whether the number is not a multiple of ten."""
    if SLOW:
        time.sleep(0.0005)
    return order["number"] % 10 != 0


def is_even(order: dict[str, int]) -> bool:
    """Whether the number is even."""
    return order["number"] % 2 == 0


def by_remainder(message: Message) -> tuple[int, Message]:
    """The message with the remainder of its number modulo 7 as key."""
    return message.json()["number"] % 7, message


def members(group: tuple[int, Iterable[Message]]) -> Iterable[Message]:
    """The messages of a group."""
    return group[1]


class Grouped(beam.PTransform):
    """Downstream steps are in a stage that begins when everything has been read."""

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        groups = messages | "Key" >> beam.Map(by_remainder).with_output_types(tuple[int, Message]) | beam.GroupByKey()
        return groups | "Take apart" >> beam.FlatMap(members).with_output_types(Message)


def run(form: str, source: str, even: str, odd: str) -> None:
    """Filters, splits, writes and then commits."""
    with beam.Pipeline("FnApiRunner") as p:
        orders = p | ReadFromQueue(source)
        taken = orders | Grouped() if form == "grouped" else orders
        split = taken | Filter(wanted).with_view(Message.json) | Splitter(even=is_even).with_view(Message.json)
        written = (split.even | "Even" >> WriteToQueue(even), split.otherwise | "Odd" >> WriteToQueue(odd))
        _ = written | CommitOffsets(orders)


if SLOW:
    logging.disable(logging.WARNING)
    run(*sys.argv[1:])
