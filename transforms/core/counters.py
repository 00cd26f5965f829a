"""Counters that are booked on the step that counts.

Beam books what a DoFn counts in `process_batch` on the step before it: it enters the step's state for `start_bundle`,
`process` and `finish_bundle` only (seen in 2.77). A counter that was taken in `start_bundle` stays the step's.
"""

from collections.abc import Iterable
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

__all__ = ["step_counters"]


def step_counters(pattern: str, names: Iterable[str]) -> list[Any]:
    """Counters of a pattern, each with `inc(number)`; to be called in a DoFn's `start_bundle`."""
    container = MetricsEnvironment.current_container()
    if container is None:  # Outside a pipeline, in a unit test of the DoFn.
        return [Metrics.counter(pattern, name) for name in names]
    return [container.get_counter(MetricName(pattern, name)) for name in names]
