"""Child processes of the SQLite tests: python -m tests.transforms.queues.sqlite.sqlite_run NAME ARGUMENT..."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from beam_patterns.transforms.queues.sqlite.database import connect, writing

_SEEN = [0]


def die() -> None:
    """Kills this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def is_wanted(message: Message, die_at: int) -> bool:
    """Whether the number is not a multiple of ten. Kills the process at the `die_at`th message."""
    _SEEN[0] += 1
    if _SEEN[0] == die_at:
        die()
    return message.json() % 10 != 0


def is_even(number: int) -> bool:
    """Whether a number is even."""
    return number % 2 == 0


def die_when_written(written: Any, die_at: str) -> Any:
    """Kills the process after everything is written and before anything is committed."""
    if die_at == "written":
        die()
    return written


def run(database: str, moment: str) -> None:
    """numbers -> Filter -> Splitter -> evens and odds -> CommitOffsets, killed at a moment: a count, or "written"."""
    die_at = int(moment) if moment.isdigit() else 0
    with beam.Pipeline("FnApiRunner") as p:
        numbers = p | ReadFromQueue(f"sqlite://{database}?topic=numbers&group=g")
        split = numbers | Filter(lambda m: is_wanted(m, die_at)) | Splitter(even=is_even).with_view(Message.json)
        written = (
            split.even | "Evens" >> WriteToQueue(f"sqlite://{database}?topic=evens"),
            split.otherwise | "Odds" >> WriteToQueue(f"sqlite://{database}?topic=odds"),
        )
        done = written | "All" >> beam.Flatten() | "Whole" >> beam.combiners.Count.Globally()
        done |= "Moment" >> beam.Map(die_when_written, moment)
        _ = done | CommitOffsets(numbers)


def write(database: str, writer: str, batches: str) -> None:
    """Writes batches of 100 numbered messages and flushes each."""
    queue = open_queue(f"sqlite://{database}?topic=shared").writer()
    for batch in range(int(batches)):
        queue.write([Message(b"%s/%d/%d" % (writer.encode(), batch, i)) for i in range(100)])
        queue.flush()


def die_in_a_transaction(database: str) -> None:
    """Inserts a message and kills the process before the commit."""
    path = Path(database)
    with writing(path, connect(path)) as _:
        pass
    db = connect(path)
    with writing(path, db):
        db.execute("INSERT INTO messages_1 VALUES (1000, x'00', NULL, NULL, NULL)")
        db.execute("UPDATE topics SET next_offset = 1001")
        die()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    {"run": run, "write": write, "die_in_a_transaction": die_in_a_transaction}[sys.argv[1]](*sys.argv[2:])
