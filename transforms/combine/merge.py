"""The merge of a key's values into one, which Reduce, Sum and Histogram each define."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints import Any as AnyType

from ..base.columns import Selector


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


class FunctionMerge(Merge):
    """Merges with a function of two elements, which are never None."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self._function = function

    def merged(self, values: list[Any]) -> Any:
        return functools.reduce(self._function, values)

    def create_accumulator(self) -> Any:
        return None  # Stands for no element yet.

    def add_input(self, accumulator: Any, element: Any) -> Any:
        return element if accumulator is None else self._function(accumulator, element)

    def merge_accumulators(self, accumulators: Any) -> Any:
        return functools.reduce(self.add_input, (some for some in accumulators if some is not None), None)

    def extract_output(self, accumulator: Any) -> Any:
        return accumulator

    def result_type(self, value_type: Any) -> Any:
        # The function may return another type: Beam's coder for T would fail on a tuple instead of a NamedTuple.
        return value_type if value_type in (int, float, str, bytes) else AnyType


class Collector:
    """Reduces the tables of one window in one bundle."""

    def size(self) -> int:
        """Upper bound of the number of groups in memory."""
        raise NotImplementedError

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        """Adds a batch and returns the number of rows that contributed. If it raises, it has added nothing."""
        raise NotImplementedError

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Removes and returns all results, as pairs (key, value)."""
        raise NotImplementedError
