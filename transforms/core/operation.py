"""What Reduce, Sum and Histogram each bring along: how values of a key become one."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from .columns import Picked

__all__ = ["Collector", "Operation"]


class Operation(beam.CombineFn):
    """An associative and commutative merge. Its results are of the kind of its inputs, so they merge again."""

    def check(self, value: Any) -> Any:
        """The value, or None for what adds nothing. Raises for what can't be merged; then it is a dead letter."""
        return value

    def gather(self, values: list[Any]) -> Any:
        """Several values as one, or None if this has to wait for the shuffle."""
        return None

    def collector(self, key: Picked, value: Picked) -> "Collector | None":
        """What reduces Arrow tables by columns; None where rows are needed."""
        return None

    def result_type(self, value_type: Any) -> Any:
        """The type of a result, for values of that type."""
        return value_type

    def partial_type(self, value_type: Any) -> Any:
        """The type of what is merged: values and results."""
        return self.result_type(value_type)


class Collector:
    """Reduces tables of one window, in one bundle."""

    #: Groups held.
    size = 0

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        """Takes a batch; returns how many rows added something. May raise, and has then taken nothing."""
        raise NotImplementedError

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Everything held, as (key, value), and forgets it."""
        raise NotImplementedError
