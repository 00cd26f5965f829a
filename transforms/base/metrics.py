"""What a step measures: counters of items, how long items take, and how much of a source has been read.

Make all of these in a DoFn's `start_bundle`. Beam books what a DoFn counts in `process_batch` on the step upstream,
because it enters the step's state for `start_bundle`, `process` and `finish_bundle` only (seen in 2.77). A counter that
was taken in `start_bundle` stays the step's own.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

__all__ = ["PROGRESS", "READ", "TIMES", "TO_READ", "Progress", "Times", "quantile", "step_counters"]

#: Namespace of the counters whose names are the numbers of time buckets.
TIMES = "beam_patterns.times"
#: Namespace and names of the counters that tell how much of a source has been read.
PROGRESS, TO_READ, READ = "beam_patterns.progress", "to_read", "read"
#: Buckets per power of two: a quantile is at most 5 % off.
_RESOLUTION = 8
#: Of single elements every 32nd is timed, since a clock costs as much as a small function.
_SAMPLE = 32


def step_counters(pattern: str, names: Iterable[str]) -> list[Any]:
    """Counters in the namespace `pattern`, each with `inc(number)`. Call this in a DoFn's `start_bundle`."""
    container = MetricsEnvironment.current_container()
    if container is None:  # Outside a pipeline, in a unit test of the DoFn.
        return [Metrics.counter(pattern, name) for name in names]
    return [container.get_counter(MetricName(pattern, name)) for name in names]


class Times:
    """How long a step's items take in one bundle: counted in buckets, which add up over workers as counters do."""

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
            cell = self._cells[bucket] = self._cell(str(bucket))
        cell.inc(items)

    def sampling(self, function: Callable[[Any], Any]) -> Callable[[], Callable[[Any], Any]]:
        """Returns a callable that gives the function for the next element: as it is, or with a clock around it."""

        def timed(element: Any) -> Any:
            began = perf_counter()
            result = function(element)
            self.note(perf_counter() - began, 1)
            return result

        return itertools.cycle((timed, *(_SAMPLE - 1) * (function,))).__next__

    def _cell(self, name: str) -> Any:
        if self._container is None:  # Outside a pipeline, in a unit test of the DoFn.
            return Metrics.counter(TIMES, name)
        return self._container.get_counter(MetricName(TIMES, name))


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
