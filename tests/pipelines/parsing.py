"""A flow whose deployment is broken in five ways: python -m tests.pipelines.parsing DATABASE FIXED DIE."""

import logging
import os
import signal
import sys
from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetters, Filter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue


class TooLateError(Exception):
    """An error of the user's own."""


def broken(message: Message) -> bool:
    """Every hundredth message fails, in turn in one of five ways."""
    number = int(message.key or b"0")
    if number % 100 == 0:
        WAYS[number // 100 % 5](number)
    return True


def as_number(number: int) -> None:
    """A value that is none."""
    int(f"number {number}")


def as_field(number: int) -> None:
    """A missing key."""
    _ = {}[f"user {number}"]


def as_share(number: int) -> None:
    """A division by nothing."""
    _ = number / 0


def in_time(number: int) -> None:
    """Two failures of one type at different places are two kinds."""
    raise TooLateError(f"{number} ms")


def in_time_again(number: int) -> None:
    """The same type, elsewhere."""
    raise TooLateError(f"{number} s")


WAYS = (as_number, as_field, as_share, in_time, in_time_again)


def fixed(message: Message) -> bool:
    """The next deployment."""
    return message is not None


def die(written: Any, now: bool) -> Any:
    """kill -9, when all is written and nothing committed."""
    if now:
        os.kill(os.getpid(), signal.SIGKILL)
    return written


def run(database: str, is_fixed: bool, dies: bool = False) -> None:
    """Orders -> check -> parsed, what fails -> dead."""
    with beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(f"sqlite://{database}?topic=dead")) as dead:
            orders = p | ReadFromQueue(f"sqlite://{database}?topic=orders&group=g")
            good = orders | "Check" >> Filter(fixed if is_fixed else broken).with_error_handler(dead)
            written = good | WriteToQueue(f"sqlite://{database}?topic=parsed").with_error_handler(dead)
        everything = (written, dead.output()) | "All" >> beam.Flatten()
        whole = everything | "Whole" >> beam.combiners.Count.Globally() | "Die" >> beam.Map(die, dies)
        _ = (written, dead.output(), whole) | CommitOffsets(orders)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    run(sys.argv[1], sys.argv[2] == "fixed", sys.argv[3] == "die")
