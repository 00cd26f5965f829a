"""The cost of counters and progress: a batch flow as a pipeline runs it, against the same flow without them.

    python -m bench.counting [--messages 2000000] [--rounds 7]

One process runs both in turn; the figure is the median of the rounds' ratios, so a disturbance of the machine affects
both. With: our counters and clocks, our runner, and a reader of the counters twice a second, as for a terminal.
Without: Beam's plain FnApiRunner. The claim: at most 3 %.
"""

import argparse
import gc
import io
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apache_beam as beam
from rich.console import Console

from beam_patterns.pipelines.runtime.counts import Counts, DirectRunner
from beam_patterns.pipelines.runtime.progress import watched
from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.base import guard, metrics
from bench.routing import Batches, Count, is_email, is_kept


class Silent:
    """A counter and a clock that do nothing."""

    def inc(self, number: int = 1) -> None:
        """Does nothing."""

    def note(self, seconds: float, items: int) -> None:
        """Does nothing."""


@contextmanager
def uncounted() -> Iterator[None]:
    """The patterns without their counters."""
    guard.step_counters = lambda pattern, names: [Silent() for _ in names]  # type: ignore[assignment]
    guard.Times = Silent  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        guard.step_counters, guard.Times = metrics.step_counters, metrics.Times  # type: ignore[misc]


def flow(p: beam.Pipeline, source: beam.DoFn) -> None:
    """Filter, then Splitter, in batches."""
    messages = p | beam.Create([None]) | "Source" >> beam.ParDo(source)
    split = messages | Filter(is_kept) | Splitter(email=is_email)
    _ = split.email | "Email" >> beam.ParDo(Count())
    _ = split.otherwise | "Otherwise" >> beam.ParDo(Count())


def seconds(source: beam.DoFn, counted: bool) -> tuple[float, float]:
    """The wall time and the CPU time of a run; other programs on the machine disturb CPU time less."""
    gc.collect()
    counts, screen = Counts(), Console(file=io.StringIO(), force_terminal=True)
    runner: Any = DirectRunner(counts) if counted else "FnApiRunner"
    around = watched(screen, counts) if counted else uncounted()
    clock, processors = time.perf_counter(), time.process_time()
    with around, beam.Pipeline(runner) as p:
        flow(p, source)
    return time.perf_counter() - clock, time.process_time() - processors


def main() -> None:
    """Runs both in turn and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    source = Batches(options.messages)
    seconds(source, False)
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for number in range(options.rounds):
        for counted in (False, True) if number % 2 else (True, False):
            taken[counted].append(seconds(source, counted))
    for i, kind in enumerate(("wall time", "CPU time")):
        pairs = [(plain[i], counted[i]) for plain, counted in zip(taken[False], taken[True], strict=True)]
        plain, counted = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(counted / plain - 1 for plain, counted in pairs)
        print(
            f"{kind:14} without {plain:6.2f} s   with {counted:6.2f} s   "
            f"{statistics.median(ratios):+.1%} (rounds from {ratios[0]:+.1%} to {ratios[-1]:+.1%})"
        )


if __name__ == "__main__":
    main()
