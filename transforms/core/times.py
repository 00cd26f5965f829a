"""How long a step's elements take: counted in buckets, which add up over workers as counters do."""

import itertools
import math
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

__all__ = ["NAMESPACE", "Times", "quantile"]

#: Of the counters, whose names are the numbers of their buckets.
NAMESPACE = "beam_patterns.times"
#: Buckets per power of two: a quantile is at most 5 % off.
_FINE = 8
#: Elements that come one by one are timed now and then, since a clock costs as much as a small function.
_SAMPLE = 32


class Times:
    """One step's in one bundle; to be made in `start_bundle`, where Beam knows the step (see counters.py)."""

    def __init__(self) -> None:
        self._container = MetricsEnvironment.current_container()
        self._cells: dict[int, Any] = {}

    def note(self, seconds: float, items: int) -> None:
        """So many items took so long together."""
        if not items:
            return
        bucket = math.ceil(math.log2(max(seconds / items, 1e-9)) * _FINE)
        cell = self._cells.get(bucket)
        if cell is None:
            cell = self._cells[bucket] = self._cell(str(bucket))
        cell.inc(items)

    def sampling(self, function: Callable[[Any], Any]) -> Callable[[], Callable[[Any], Any]]:
        """Gives the function for the next element: as it is, or with a clock around it."""

        def timed(element: Any) -> Any:
            began = perf_counter()
            result = function(element)
            self.note(perf_counter() - began, 1)
            return result

        return itertools.cycle((timed, *(_SAMPLE - 1) * (function,))).__next__

    def _cell(self, name: str) -> Any:
        if self._container is None:  # Outside a pipeline, in a unit test of the DoFn.
            return Metrics.counter(NAMESPACE, name)
        return self._container.get_counter(MetricName(NAMESPACE, name))


def quantile(buckets: Mapping[int, int], share: float) -> float:
    """The seconds within which this share of the items were done.

    >>> quantile({-80: 94, 0: 6}, 0.5), quantile({-80: 94, 0: 6}, 0.95)
    (0.0009765625, 1.0)
    """
    wanted = share * sum(buckets.values())
    for bucket in sorted(buckets):
        wanted -= buckets[bucket]
        if wanted <= 0:
            return 2.0 ** (bucket / _FINE)
    return 0.0
