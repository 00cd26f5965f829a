"""Child processes of the file tests: python -m tests.transforms.queues.files.files_run NAME ARGUMENT..."""

import logging
import os
import signal
import sys

import apache_beam as beam

from beam_patterns.transforms import Filter
from beam_patterns.transforms.queues import Message, ReadFromQueue, WriteToQueue, open_queue

_SEEN = [0]


def append(path: str, name: str, batches: str) -> None:
    """Writes batches of 100 messages and flushes each."""
    writer = open_queue(path).writer()
    for batch in range(int(batches)):
        writer.write([Message(b"%s/%d/%d" % (name.encode(), batch, i)) for i in range(100)])
        writer.flush()


def lives(unused_message: Message, die_at: int) -> bool:
    """True. Kills the process at the `die_at`th message."""
    _SEEN[0] += 1
    if _SEEN[0] == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def run(source: str, target: str, die_at: str) -> None:
    """Copies the messages of a file."""
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | ReadFromQueue(source) | Filter(lambda m: lives(m, int(die_at))) | WriteToQueue(target)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    {"append": append, "run": run}[sys.argv[1]](*sys.argv[2:])
