"""A flow with a deployment that is broken in five ways: python -m tests.pipelines.parsing DATABASE FIXED DIE."""

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
    """An error class of the user."""


def broken(message: Message) -> bool:
    """Every hundredth message fails, in turn in one of five ways."""
    number = int(message.key or b"0")
    if number % 100 == 0:
        WAYS[number // 100 % 5](number)
    return True


def as_number(number: int) -> None:
    """An invalid value."""
    int(f"number {number}")


def as_field(number: int) -> None:
    """A missing key."""
    _ = {}[f"user {number}"]


def as_share(number: int) -> None:
    """A division by zero."""
    _ = number / 0


def in_time(number: int) -> None:
    """An error of one type; raised at two places it is two kinds of failure."""
    raise TooLateError(f"{number} ms")


def in_time_again(number: int) -> None:
    """The same type at another place."""
    raise TooLateError(f"{number} s")


WAYS = (as_number, as_field, as_share, in_time, in_time_again)


def fixed(message: Message) -> bool:
    """The next deployment."""
    return message is not None


def die(written: Any, now: bool) -> Any:
    """Kills the process when everything is written and nothing is committed."""
    if now:
        os.kill(os.getpid(), signal.SIGKILL)
    return written


def run(database: str, is_fixed: bool, dies: bool = False) -> None:
    """Orders -> check -> parsed; failed orders -> dead."""
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
