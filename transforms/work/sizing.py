"""The number of workers that a work queue needs, calculated from what a run measured."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base.run_counters import steps_of
from .step import ITEMS_PER_WORKER

__all__ = ["Concurrency", "concurrency_of"]

#: Above this utilisation, waiting times rise steeply with every fluctuation.
_MAX_UTILISATION = 0.8
#: If a larger share of the items arrived while all workers had enough items, the items formed a backlog.
_BACKLOG_SHARE = 0.95


class Concurrency(NamedTuple):
    """How busy workers are: items arrive every `gap` seconds on average and take `service` seconds each.

    >>> shop = Concurrency(gap=1.0, service=1.5, workers=2)
    >>> shop.utilisation, shop.needed, round(shop.wait, 2)
    (0.75, 2, 1.93)
    >>> print(shop.advice())
    2 workers were busy 75 % of the time; on average an item waits 1.9 s for a worker. 2 workers are enough.

    Waiting times are those of the M/M/c queue (Erlang's C formula): random arrivals, exponentially distributed service
    times. More regular arrivals and service times make the wait shorter.

    Source: Burns, Designing Distributed Systems, chapter 10 (dynamic scaling of the workers); Erlang 1917.
    """

    gap: float
    service: float
    workers: int
    backlog: bool = False
    """Whether all items were there at the start: then `gap` is only the rate at which they were processed."""

    @property
    def load(self) -> float:
        """Number of workers that would be busy all the time."""
        return math.inf if self.gap <= 0 else self.service / self.gap

    @property
    def utilisation(self) -> float:
        """Share of the time that a worker is busy. At 1 or more, the queue grows for as long as items arrive."""
        return self.load / self.workers

    @property
    def needed(self) -> int:
        """Smallest number of workers that are busy at most 80 % of the time."""
        if math.isinf(self.load):
            raise ValueError("items that arrive all at once have no rate: every additional worker shortens the run")
        return max(math.ceil(self.load / _MAX_UTILISATION - 1e-9), 1)

    @property
    def wait(self) -> float:
        """Average number of seconds that an item waits for a worker; infinite if the queue grows."""
        if self.utilisation >= 1:
            return math.inf
        all_busy = 1.0
        for workers in range(1, self.workers + 1):  # Erlang's B formula as a recurrence, which can't overflow.
            all_busy = self.load * all_busy / (workers + self.load * all_busy)
        waits = all_busy / (1 - self.utilisation * (1 - all_busy))
        return waits * self.service / (self.workers - self.load)

    def advice(self) -> str:
        """The utilisation, the wait and the number of workers to use, as a sentence."""
        busy = f"{self.workers} workers were busy {min(self.utilisation, 1):.0%} of the time".replace("%", " %")
        if self.backlog or self.utilisation >= 0.99:
            rate = min(self.utilisation, 1) * self.workers / self.service if self.service else math.inf
            done = f"{busy} and processed {f'{rate:,.0f}' if rate >= 100 else f'{rate:.3g}'} items/s from a backlog"
            if self.utilisation < _MAX_UTILISATION:
                return f"{done}. The items are too small for more workers to help."
            return f"{done}. Twice as many workers halve the time."
        better = self._replace(workers=self.needed)
        enough = "are enough" if better.workers <= self.workers else f"would cut the wait to {_seconds(better.wait)}"
        wait = f"on average an item waits {_seconds(self.wait)} for a worker"
        return f"{busy}; {wait}. {better.workers} workers {enough}."


def concurrency_of(result: Any, pipeline: Any) -> Iterator[tuple[str, Concurrency]]:
    """The label and the measured concurrency of each WorkQueue in a finished run."""
    steps = steps_of(result, pipeline)
    found: dict[str, dict[str, Any]] = {}
    for distribution in result.metrics().query()["distributions"]:
        name, committed = distribution.key.metric, distribution.committed
        if name.namespace != "WorkQueue" or committed is None or not committed.count:
            continue
        # The step is our own DoFn's, or that of the Reshuffle before it, from which Beam gathers batches.
        step = distribution.key.step
        label = steps[step].unique_name if step in steps else step
        label = label.partition("/Spread/")[0].removesuffix("/ParDo(Work)").removesuffix("/Work")
        measured = found.setdefault(label, {})
        measured[name.name] = committed.data.combine(measured.get(name.name))
    for label, measured in sorted(found.items()):
        if {"gap_us", "service_us", "held", "workers"} <= measured.keys():
            gap, service = (measured[each].sum / measured[each].count / 1e6 for each in ("gap_us", "service_us"))
            held, workers = measured["held"], measured["workers"]
            later = held.count - ITEMS_PER_WORKER * workers.sum  # The first items of a bundle are never held back.
            yield label, Concurrency(gap, service, workers.max, backlog=held.sum > _BACKLOG_SHARE * later > 0)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
