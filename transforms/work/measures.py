"""What a work queue counts and measures, booked on its own step."""

import time
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

from ..base.guard import RESERVED
from ..base.metrics import Times, step_counters
from .task import Job, Outcome

__all__ = ["PER_WORKER", "Measures"]

#: Items in flight: one in a worker, the next one at hand.
PER_WORKER = 2

_COUNTERS = (*RESERVED, "skipped", "results", "retried")
_DISTRIBUTIONS = ("service_us", "wait_us", "gap_us", "held", "workers")


class Measures:
    """One bundle's; to be made in `start_bundle`, where Beam knows the step (see counters.py)."""

    def __init__(self, workers: int, arrived: float) -> None:
        self._container = MetricsEnvironment.current_container()
        self._counters = dict(zip(_COUNTERS, step_counters("WorkQueue", _COUNTERS), strict=True))
        self._distributions = {name: self._distribution(name) for name in _DISTRIBUTIONS}
        self._distributions["workers"].update(workers)
        self._times = Times()
        self.arrived = arrived

    def _distribution(self, name: str) -> Any:
        if self._container is None:  # Outside a pipeline.
            return Metrics.distribution("WorkQueue", name)
        return self._container.get_distribution(MetricName("WorkQueue", name))

    def count(self, *names: str, number: int = 1) -> None:
        """Adds to counters."""
        for name in names:
            self._counters[name].inc(number)

    def arrival(self, *, held: bool) -> None:
        """An item has come, perhaps while all workers had enough to do, so that it is held back."""
        now = time.perf_counter()
        if self.arrived:
            self._distributions["gap_us"].update(int((now - self.arrived) * 1e6))
        self._distributions["held"].update(int(held))
        self.arrived = now

    def attempt(self, job: Job, outcome: Outcome) -> None:
        """A worker is done with an item: how long that took, and what user code did to metrics of its own there."""
        self._distributions["service_us"].update(int((job.ended_at - job.started_at) * 1e6))
        self._times.note(job.ended_at - job.started_at, 1)
        self._distributions["wait_us"].update(int((job.started_at - job.submitted_at) * 1e6))
        for name, value in outcome.metrics if self._container is not None else ():
            self._container.get_metric_cell(name).update(value)
