"""The merge of a key's values into one, which Reduce, Sum and Histogram each define."""

import functools
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from ..base.columns import Selector

__all__ = ["Collector", "Merge"]


class Merge(beam.CombineFn):
    """An associative and commutative merge. Its results are of the same kind as its inputs, so they merge again."""

    def check(self, value: Any) -> Any:
        """The value, or None if it adds nothing. Raises for a value that can't be merged."""
        return value

    def merged(self, values: list[Any]) -> Any:
        """Several values as one."""
        return self.extract_output(functools.reduce(self.add_input, values, self.create_accumulator()))

    def collector(self, key: Selector, value: Selector) -> "Collector | None":
        """The reducer of Arrow tables by columns; None if the merge needs rows."""
        return None

    def result_type(self, value_type: Any) -> Any:
        """Type of a result, for values of this type."""
        return value_type

    def partial_type(self, value_type: Any) -> Any:
        """Type of the values and results that are merged."""
        return self.result_type(value_type)


class Collector:
    """Reduces the tables of one window in one bundle."""

    #: Number of groups held.
    size = 0

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        """Adds a batch and returns the number of rows that contributed. If it raises, it has added nothing."""
        raise NotImplementedError

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Removes and returns all results, as pairs (key, value)."""
        raise NotImplementedError
