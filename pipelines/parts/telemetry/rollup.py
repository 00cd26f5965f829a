"""The roll-up of many events: count, sum, extremes, and sketches of quantiles and of distinct users."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam

from beam_patterns.transforms import Quantiles

from .events import Event

__all__ = ["RollUp", "Rolled"]

#: The largest error of a quantile's rank: a p95 is between p94 and p96.
_RANK_ERROR = 0.01
#: Size of the sketch of users, 8 KB: in two of three cases the error is below 1.2 %.
_HLL_BITS = 13


class Rolled(NamedTuple):
    """The events of a metric in a window."""

    count: int  # type: ignore[assignment]  # A tuple has a method of this name.
    total: float
    low: float
    high: float
    p50: float
    p95: float
    p99: float
    users: int
    """Estimated number of distinct users."""


class RollUp(beam.CombineFn):
    """Rolls up events."""

    def create_accumulator(self) -> "_Accumulator":
        return _Accumulator()

    def add_input(self, accumulator: "_Accumulator", event: Event) -> "_Accumulator":
        accumulator.count += 1
        accumulator.total += event.value
        accumulator.values.update(event.value)
        accumulator.users.update(event.user)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable["_Accumulator"]) -> "_Accumulator":
        first, *others = accumulators
        for other in others:
            first.merge(other)
        return first

    def extract_output(self, accumulator: "_Accumulator") -> Rolled:
        values, users = accumulator.values, round(accumulator.users.get_estimate())
        p50, p95, p99 = (values.get_quantile(share) for share in (0.50, 0.95, 0.99))
        low, high = values.get_min_value(), values.get_max_value()
        return Rolled(accumulator.count, accumulator.total, low, high, p50, p95, p99, users)


class _Accumulator:
    """Count and sum with the sketches of values and users, which are pickled in DataSketches' own form."""

    def __init__(self, count: int = 0, total: float = 0.0, values: bytes = b"", users: bytes = b"") -> None:
        import datasketches

        self.count, self.total = count, total
        self.values = Quantiles(values or Quantiles.of([], _RANK_ERROR).sketch).opened()
        self.users = datasketches.hll_sketch.deserialize(users) if users else datasketches.hll_sketch(_HLL_BITS)

    def merge(self, other: "_Accumulator") -> None:
        import datasketches

        self.count += other.count
        self.total += other.total
        self.values.merge(other.values)
        union = datasketches.hll_union(_HLL_BITS)
        union.update(self.users)
        union.update(other.users)
        self.users = union.get_result()

    def __reduce__(self) -> Any:
        return _Accumulator, (self.count, self.total, self.values.serialize(), self.users.serialize_compact())
