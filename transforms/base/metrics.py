"""Measurements of a step: counters of items, how long items take, and how much of a source has been read.

Make all of these in a DoFn's `start_bundle`. Beam adds what a DoFn counts in `process_batch` to the step upstream,
because it enters the step's state for `start_bundle`, `process` and `finish_bundle` only (seen in 2.77). A counter made
in `start_bundle` remains the step's own.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

#: Namespace of the counters whose names are the numbers of time buckets.
TIMES = "beam_patterns.times"
#: Namespace and names of the counters of how much of a source has been read.
PROGRESS, TO_READ, READ = "beam_patterns.progress", "to_read", "read"
#: Buckets per power of two: the error of a quantile is at most 5 %.
_RESOLUTION = 8
#: Every 32nd of single elements is timed, since reading the clock costs as much as a small function.
_SAMPLE = 32


def step_counters(pattern: str, names: Iterable[str]) -> list[Any]:
    """Counters in the namespace `pattern`, each with `inc(number)`. Call this in a DoFn's `start_bundle`."""
    container = MetricsEnvironment.current_container()
    return [_counter(container, pattern, name) for name in names]


def _counter(container: Any, namespace: str, name: str) -> Any:
    if container is None:  # Outside a pipeline, in a unit test of the DoFn.
        return Metrics.counter(namespace, name)
    return container.get_counter(MetricName(namespace, name))


class Times:
    """How long a step's items take in one bundle. Counts them in buckets, which add up over workers as counters do."""

    def __init__(self) -> None:
        self._container = MetricsEnvironment.current_container()
        self._cells: dict[int, Any] = {}

    def note(self, seconds: float, items: int) -> None:
        """Records that `items` items took `seconds` in total."""
        if not items:
            return
        bucket = math.ceil(math.log2(max(seconds / items, 1e-9)) * _RESOLUTION)
        cell = self._cells.get(bucket)
        if cell is None:
            cell = self._cells[bucket] = _counter(self._container, TIMES, str(bucket))
        cell.inc(items)

    def sampling(self, function: Callable[[Any], Any]) -> Callable[[], Callable[[Any], Any]]:
        """Returns a callable that returns the function for the next element, with or without a clock around it."""

        def timed(element: Any) -> Any:
            began = perf_counter()
            result = function(element)
            self.note(perf_counter() - began, 1)
            return result

        return itertools.cycle((timed, *(_SAMPLE - 1) * (function,))).__next__


def quantile(buckets: Mapping[int, int], share: float) -> float:
    """The number of seconds within which this share of the items was done.

    >>> quantile({-80: 94, 0: 6}, 0.5), quantile({-80: 94, 0: 6}, 0.95)
    (0.0009765625, 1.0)
    """
    missing = share * sum(buckets.values())
    for bucket in sorted(buckets):
        missing -= buckets[bucket]
        if missing <= 0:
            return 2.0 ** (bucket / _RESOLUTION)
    return 0.0


class Progress:
    """How much of a source has been read, in its own units: offsets, or bytes of files."""

    def __init__(self) -> None:
        self._to_read, self._read = step_counters(PROGRESS, (TO_READ, READ))

    def announce(self, units: int) -> None:
        """Adds to the number of units to read."""
        self._to_read.inc(units)

    def passed(self, units: int) -> int:
        """Adds to the number of units that were read, and returns `units`."""
        self._read.inc(units)
        return units
