"""A pipeline for reports: it checks messages, of which some fail; with a secret, and an image among its results."""

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines.cli.launch import launch
from beam_patterns.pipelines.runtime.options import Options, option, queue
from beam_patterns.pipelines.runtime.run import Ended, Places
from beam_patterns.transforms import DeadLetters, Filter, Splitter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue
from tests.pipelines.parsing import WAYS

IMAGE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><script>alert(3)</script></svg>'


class ReportedOptions(Options):
    """Checks messages, <b>and</b> says so."""

    source: str = option("Queue to read.", example="'memory://a?group=g'", type=queue)
    dead_letters: str = option("Queue for failures.", example="'sqlite:///data/q.db?topic=dead'", type=queue)
    password: str = option("A secret.", example="hunter2", default="", secret=True)
    images: str = option("Folder for an image.", example="charts", default="")


def check(message: Message) -> bool:
    """Fails in the way that the message's key chooses; the text of an error may be the payload."""
    if message.key == b"markup":
        raise ValueError((message.value or b"").decode())
    if message.key is not None:
        WAYS[int(message.key)](0)
    return True


def build(p: beam.Pipeline, o: ReportedOptions) -> Places:
    """Read, check, split, commit."""
    if o.images:
        _ = p | "Folder" >> beam.Create([o.images]) | "Draw" >> beam.Map(draw)
    with ErrorHandler("Dead" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        read = p | "Read" >> ReadFromQueue(o.source).with_error_handler(dead)
        good = read | "Check" >> Filter(check).with_error_handler(dead)
        split = good | "Split" >> Splitter(long=is_long)
        written = [
            getattr(split, name) | f"Write {name}" >> WriteToQueue(f"{o.source.partition(chr(63))[0]}-{name}")
            for name in split._fields
        ]
    (*written, dead.output()) | "Commit" >> CommitOffsets(read)
    places = {"dead letters": o.dead_letters, "images": o.images}
    return {name: place for name, place in places.items() if place}


def draw(folder: str) -> None:
    """Writes an image that contains a script."""
    Path(folder, "chart <1>.svg").write_bytes(IMAGE)


def is_long(message: Message) -> bool:
    """Whether the payload has more than three bytes."""
    return len(message.value or b"") > 3


def run(argv: Sequence[str]) -> Ended:
    """Runs the pipeline with a command line."""
    return launch(ReportedOptions, build, argv)
