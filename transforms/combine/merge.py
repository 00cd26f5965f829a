"""How the values of a key become one: what Reduce, Sum and Histogram each define."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from ..base.columns import Selector

__all__ = ["Collector", "Merge"]


class Merge(beam.CombineFn):
    """An associative and commutative merge. Its results are of the same kind as its inputs, so they merge again."""

    def check(self, value: Any) -> Any:
        """The value, or None for what adds nothing. Raises for a value that can't be merged."""
        return value

    def gather(self, values: list[Any]) -> Any:
        """Several values as one, or None if this has to wait for the shuffle."""
        return None

    def collector(self, key: Selector, value: Selector) -> "Collector | None":
        """What reduces Arrow tables by columns; None if rows are needed."""
        return None

    def result_type(self, value_type: Any) -> Any:
        """Type of a result, for values of this type."""
        return value_type

    def partial_type(self, value_type: Any) -> Any:
        """Type of what is merged: values and results."""
        return self.result_type(value_type)


class Collector:
    """Reduces tables of one window, in one bundle."""

    #: Number of groups held.
    size = 0

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        """Takes a batch and returns the number of rows that added something. If it raises, it has taken nothing."""
        raise NotImplementedError

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Returns everything held, as pairs (key, value), and forgets it."""
        raise NotImplementedError
