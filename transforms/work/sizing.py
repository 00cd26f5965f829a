"""How many workers a work queue needs: the scaling arithmetic, from what a run measured."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from .measures import PER_WORKER

__all__ = ["Concurrency", "concurrency_of"]

#: Above this, waiting times rise steeply with every hiccup.
_COMFORTABLE = 0.8
#: Where more of the items than this came while all workers had enough to do, they lay there already.
_HELD_OF_BACKLOG = 0.95


class Concurrency(NamedTuple):
    """Items that come every `gap` seconds on average and take `service` seconds each, and the workers for them.

    >>> shop = Concurrency(gap=1.0, service=1.5, workers=2)
    >>> shop.utilisation, shop.needed, round(shop.wait, 2)
    (0.75, 2, 1.93)
    >>> print(shop.advice())
    2 workers were busy 75 % of the time; an item waits 1.9 s for one. 2 are enough.

    Waiting times are those of the M/M/c queue (Erlang's C formula): arrivals at random, service times spread
    exponentially. Where both are more regular, the wait is shorter.

    Source: Burns, Designing Distributed Systems, chapter 10 (dynamic scaling of the workers); Erlang 1917.
    """

    gap: float
    service: float
    workers: int
    backlog: bool = False
    """Whether the items were all there, to be worked off; then `gap` is only how fast they were."""

    @property
    def load(self) -> float:
        """How many workers would be busy all the time."""
        return math.inf if self.gap <= 0 else self.service / self.gap

    @property
    def utilisation(self) -> float:
        """The part of the time that a worker is busy; from 1 on, the queue grows for as long as items come."""
        return self.load / self.workers

    @property
    def needed(self) -> int:
        """The least number of workers that are busy at most 80 % of the time."""
        if math.isinf(self.load):
            raise ValueError("items that all come at once have no rate; the more workers, the sooner they are done")
        return max(math.ceil(self.load / _COMFORTABLE - 1e-9), 1)

    @property
    def wait(self) -> float:
        """The seconds that an item waits for a worker, on average; infinite where the queue grows."""
        if self.utilisation >= 1:
            return math.inf
        all_busy = 1.0
        for workers in range(1, self.workers + 1):  # Erlang's B by its recurrence, which can't overflow.
            all_busy = self.load * all_busy / (workers + self.load * all_busy)
        waits = all_busy / (1 - self.utilisation * (1 - all_busy))
        return waits * self.service / (self.workers - self.load)

    def advice(self) -> str:
        """For people."""
        busy = f"{self.workers} workers were busy {min(self.utilisation, 1):.0%} of the time".replace("%", " %")
        if self.backlog or self.utilisation >= 0.99:
            rate = min(self.utilisation, 1) * self.workers / self.service if self.service else math.inf
            done = f"{busy} and did {_number(rate)} items/s: there was a backlog"
            if self.utilisation < _COMFORTABLE:
                return f"{done}, of items too small for more workers to help."
            return f"{done}. Twice the workers halve the time for it."
        better = self._replace(workers=self.needed)
        enough = "are enough" if better.workers <= self.workers else f"would cut that to {_seconds(better.wait)}"
        return f"{busy}; an item waits {_seconds(self.wait)} for one. {better.workers} {enough}."


def concurrency_of(result: Any, pipeline: Any) -> Iterator[tuple[str, Concurrency]]:
    """What each WorkQueue of a finished run measured, by its label.

    Portable runners report a step by an id, for which the pipeline knows the label.
    """
    steps = pipeline.to_runner_api().components.transforms
    found: dict[str, dict[str, Any]] = {}
    for distribution in result.metrics().query()["distributions"]:
        name, data = distribution.key.metric, distribution.committed
        if name.namespace != "WorkQueue" or data is None or not data.count:
            continue
        # The step is our own DoFn's, or that of the Reshuffle before it, from which the SDK gathers batches.
        step = distribution.key.step
        label = steps[step].unique_name if step in steps else step
        label = label.partition("/Spread/")[0].removesuffix("/ParDo(Work)").removesuffix("/Work")
        before = found.setdefault(label, {}).get(name.name)
        found[label][name.name] = _added(before, data)
    for label, measured in sorted(found.items()):
        if {"gap_us", "service_us", "held", "workers"} <= measured.keys():
            gap, service = (measured[each][0] / measured[each][1] / 1e6 for each in ("gap_us", "service_us"))
            backlog = _was_backlog(measured["held"], measured["workers"])
            yield label, Concurrency(gap, service, measured["workers"][2], backlog)


def _was_backlog(held: tuple[int, int, int], workers: tuple[int, int, int]) -> bool:
    """No item is held back before every worker of its bundle, each of which counts its own, has enough to do."""
    could_be = held[1] - PER_WORKER * workers[0]
    return could_be > 0 and held[0] > _HELD_OF_BACKLOG * could_be


def _added(before: tuple[int, int, int] | None, data: Any) -> tuple[int, int, int]:
    total, count, most = before or (0, 0, 0)
    return total + data.sum, count + data.count, max(most, data.max)


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
