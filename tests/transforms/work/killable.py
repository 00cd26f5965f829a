"""A run to be killed: `python -m tests.transforms.work.killable FOLDER` makes one file per item in FOLDER."""

import os
import sys
import time
from pathlib import Path

import apache_beam as beam

from beam_patterns.transforms import WorkQueue

ITEMS = 60
CONTENT = "complete\n" * 100


def log(path: str, said: str) -> None:
    """Atomic, even in the moment of death."""
    with Path(path).parent.joinpath("log").open("a") as lines:
        lines.write(f"{said} {Path(path).name}\n")


def make(path: str) -> str:
    """Slowly writes a file, that appears at once."""
    log(path, "start")
    partial = Path(path + ".partial")
    with partial.open("w") as output:
        for line in CONTENT.splitlines(keepends=True):
            output.write(line)
            time.sleep(0.0005)
    partial.rename(path)
    log(path, "done")
    return path


def is_made(path: str) -> bool:
    """The done check."""
    return os.path.exists(path)  # noqa: PTH110


def main(folder: str) -> None:
    """The run."""
    with beam.Pipeline("FnApiRunner") as p:
        items = p | beam.Create([f"{folder}/{n}" for n in range(ITEMS)])
        _ = items | WorkQueue(make).with_workers(2).with_done_check(is_made)


if __name__ == "__main__":
    from tests.transforms.work import killable

    killable.main(sys.argv[1])
