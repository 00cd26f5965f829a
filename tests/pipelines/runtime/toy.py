"""A pipeline to run in tests: numbers from a queue to a queue, going wrong on demand."""

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from beam_patterns.pipelines.cli.launch import launch
from beam_patterns.pipelines.runtime.options import Options, option, queue
from beam_patterns.pipelines.runtime.run import Ended, Places
from beam_patterns.transforms import Filter
from beam_patterns.transforms.base.routing import Pattern
from beam_patterns.transforms.queues import CommitOffsets, Message, QueueError, ReadFromQueue, WriteToQueue, open_queue

_NUMBERS = itertools.count()


class ToyOptions(Options):
    """Copies even numbers."""

    source: str = option("From.", example="memory://a?group=g", type=queue)
    sink: str = option("To.", example="memory://b", type=queue)
    mood: str = option("What goes wrong.", example="well", default="well")


def build(p: beam.Pipeline, o: ToyOptions) -> Places | None:
    """Read, work, keep the even ones, write, commit."""
    if o.mood == "idle":
        return None
    numbers = p | "Read" >> ReadFromQueue(o.source)
    items = numbers
    if o.mood == "grouped":
        pairs = numbers | "Pair" >> beam.WithKeys(_value).with_output_types(tuple[bytes, Message])
        items = pairs | "Group" >> beam.GroupByKey() | "Apart" >> beam.FlatMap(_group).with_output_types(Message)
    written = items | "Work" >> Work(o.mood) | "Even" >> Filter(_Even(o.mood)) | "Write" >> WriteToQueue(o.sink)
    written | CommitOffsets(numbers)
    return {"even numbers": o.sink}


def _value(message: Message) -> bytes:
    return message.value or b""


def _group(pair: Any) -> Any:
    return pair[1]


class Work(Pattern):
    """Does nothing, well or badly."""

    def __init__(self, mood: str) -> None:
        super().__init__()
        self._mood = mood

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        return messages | "Do" >> beam.ParDo(_Work(self._mood)).with_output_types(Message)


class _Work(beam.DoFn):
    def __init__(self, mood: str) -> None:
        self._mood = mood
        self._in, self._out = (Metrics.counter("Work", name) for name in ("in", "out"))

    def process(self, message: Message) -> Iterator[Message]:
        match self._mood:
            case "loses" if message.value == b"3":
                self._in.inc()
                return
            case "queue":
                raise QueueError("the broker nowhere:9 does not answer; is it running?")
            case "value":
                raise ValueError("the setting x is 3; take 4")
            case "bug":
                raise KeyError("oops")
            case slow if slow.startswith("slow "):
                Path(slow.removeprefix("slow ")).touch()
                time.sleep(0.05)
        self._in.inc()
        self._out.inc()
        yield message


class _Even:
    def __init__(self, mood: str) -> None:
        self._mood = mood

    def __call__(self, message: Message) -> bool:
        if self._mood == "predicate":
            raise ZeroDivisionError("by zero")
        if self._mood == "grouped":
            time.sleep(0.05)
        return int(message.value) % 2 == 0


def run(argv: Sequence[str]) -> Ended:
    return launch(ToyOptions, build, argv)


def arguments(count: int = 6, **more: str) -> list[str]:
    """A command line whose source holds 0, 1, 2, ..."""
    name = f"memory://toy-{next(_NUMBERS)}"
    writer = open_queue(name).writer()
    writer.write([Message(b"%d" % number) for number in range(count)])
    writer.flush()
    return [f"--source={name}?group=g", f"--sink={name}-even", *(f"--{key}={value}" for key, value in more.items())]
