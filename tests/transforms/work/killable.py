"""A run for tests that kill it: `python -m tests.transforms.work.killable FOLDER` writes a file per item."""

import os
import sys
import time
from pathlib import Path

import apache_beam as beam

from beam_patterns.transforms import WorkQueue
from tests import SOAK

KILLS = 4 * SOAK
ITEMS = 6 * KILLS
CONTENT = "complete\n" * 100


def log(path: str, event: str) -> None:
    """Appends a line to the log, atomically, even if the process is killed."""
    with Path(path).parent.joinpath("log").open("a") as lines:
        lines.write(f"{event} {Path(path).name}\n")


def make(path: str) -> str:
    """Writes a file slowly, and renames it when it is complete."""
    log(path, "start")
    partial = Path(path + ".partial")
    with partial.open("w") as output:
        for line in CONTENT.splitlines(keepends=True):
            output.write(line)
            time.sleep(0.0005)
    partial.rename(path)
    log(path, "done")
    return path


def exists(path: str) -> bool:
    """The done check: whether the file exists."""
    return os.path.exists(path)  # noqa: PTH110


def main(folder: str) -> None:
    """Runs the pipeline."""
    with beam.Pipeline("FnApiRunner") as p:
        items = p | beam.Create([f"{folder}/{n}" for n in range(ITEMS)])
        _ = items | WorkQueue(make).with_workers(2).with_done_check(exists)


if __name__ == "__main__":
    from tests.transforms.work import killable

    killable.main(sys.argv[1])
