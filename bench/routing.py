"""Routing: Filter, Splitter and Merger against beam.Filter, beam.Partition and beam.Flatten.

    python bench/routing.py [--messages 1000000] [--rounds 3] [--runner FnApiRunner]

The same messages feed each pipeline; all run in turn in one process, and ratios compare medians. The claims: in
batches at least 3 times as fast as Beam's own, with a Merger downstream at least 2.5 times, and without batches not
slower (within 5 %).
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.typehints import List

from beam_patterns.transforms import Filter, Merger, Splitter
from beam_patterns.transforms.queues import Message


def is_kept(message: Message) -> bool:
    """True for four of five."""
    return message.key != b"0"


def is_email(message: Message) -> bool:
    """True for half of the kept messages."""
    return message.key < b"3"


class Batches(beam.DoFn):
    """A source of batches of 4,000 messages, like a queue's client; created before the clock starts."""

    def __init__(self, messages: int) -> None:
        self._rounds = messages // 4000

    def setup(self) -> None:
        self._batch = [
            Message(b'{"order": %d}' % i, b"%d" % (i % 5), (), 1.7e9 + i, ("orders", 0, i)) for i in range(4000)
        ]

    @beam.DoFn.yields_batches
    def process(self, _: Any) -> Iterator[list[Message]]:
        for _ in range(self._rounds):
            yield list(self._batch)

    def infer_output_type(self, _: Any) -> Any:
        return Message

    def get_output_batch_type(self, _: Any) -> Any:
        return List[Message]


class Elements(Batches):
    """A source of the same messages, one by one."""

    def process(self, _: Any) -> Iterator[Message]:
        for _ in range(self._rounds):
            yield from self._batch

    def get_output_batch_type(self, _: Any) -> Any:
        return None


class Count(beam.DoFn):
    """The end of a branch, as cheap as possible for batches and elements."""

    def process(self, element: Message) -> None:
        pass

    @beam.DoFn.yields_elements
    def process_batch(self, elements: list[Message]) -> None:
        pass

    def get_input_batch_type(self, _: Any) -> Any:
        return List[Message]


class CountElements(beam.DoFn):
    """The end of a branch of elements."""

    def process(self, element: Message) -> None:
        pass


def ours(source: beam.PCollection, end: type[beam.DoFn]) -> None:
    """Filter, then Splitter."""
    split = source | Filter(is_kept) | Splitter(email=is_email)
    _ = split.email | "Email" >> beam.ParDo(end())
    _ = split.otherwise | "Otherwise" >> beam.ParDo(end())


def ours_merged(source: beam.PCollection, end: type[beam.DoFn]) -> None:
    """Filter, Splitter, Merger."""
    _ = source | Filter(is_kept) | Splitter(email=is_email) | Merger() | "End" >> beam.ParDo(end())


def theirs(source: beam.PCollection, end: type[beam.DoFn]) -> None:
    """beam.Filter, then beam.Partition."""
    email, rest = source | "Keep" >> beam.Filter(is_kept) | beam.Partition(lambda m, n: 0 if is_email(m) else 1, 2)
    _ = email | "Email" >> beam.ParDo(end())
    _ = rest | "Otherwise" >> beam.ParDo(end())


def theirs_merged(source: beam.PCollection, end: type[beam.DoFn]) -> None:
    """beam.Filter, beam.Partition, beam.Flatten."""
    parts = source | "Keep" >> beam.Filter(is_kept) | beam.Partition(lambda m, n: 0 if is_email(m) else 1, 2)
    _ = parts | beam.Flatten() | "End" >> beam.ParDo(end())


def seconds(graph: Callable[..., None], source: beam.DoFn, end: type[beam.DoFn], runner: str) -> float:
    """The wall time of one run of a pipeline."""
    gc.collect()
    start = time.perf_counter()
    with beam.Pipeline(runner) as p:
        graph(p | beam.Create([None]) | "Source" >> beam.ParDo(source), end)
    return time.perf_counter() - start


def main() -> None:
    """Runs all pipelines in turn, several rounds, and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runner", default="FnApiRunner")
    options = parser.parse_args()
    batches, elements = Batches(options.messages), Elements(options.messages)
    runs = {
        "Beam's own": (theirs, batches, CountElements),
        "ours, in batches": (ours, batches, Count),
        "Beam's own, merged": (theirs_merged, batches, CountElements),
        "ours, in batches, merged": (ours_merged, batches, Count),
        "Beam's own, element by element": (theirs, elements, CountElements),
        "ours, element by element": (ours, elements, CountElements),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(seconds(*run, options.runner))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    names = list(runs)
    for slow, fast in zip(names[::2], names[1::2], strict=True):
        print(f"{slow:32} {medians[slow]:6.2f} s   {options.messages / medians[slow]:>10,.0f} messages/s")
        print(f"{fast:32} {medians[fast]:6.2f} s   {options.messages / medians[fast]:>10,.0f} messages/s", end="")
        print(f"   {medians[slow] / medians[fast]:.2f} times as fast")


if __name__ == "__main__":
    main()
