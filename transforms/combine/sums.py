"""The merge of a sum: exact, and by columns for Arrow tables."""

import decimal
import functools
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints import Tuple, Union

from ..base.columns import Selector
from .merge import Collector, FunctionMerge

Number = Union[int, float, Decimal, Fraction]
#: Far more digits than amounts of money have; a sum that would still need rounding fails instead.
_EXACT = decimal.Context(prec=1000, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow])


class Add(FunctionMerge):
    """Adds numbers, or tuples of numbers."""

    def __init__(self) -> None:
        super().__init__(_plus)

    def check(self, value: Any) -> Any:
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if number is not None and not isinstance(number, int | float | Decimal | Fraction):
                raise TypeError(f"the value {number!r} is not a number")
        if all(number is None for number in numbers):
            return None
        return tuple([number or 0 for number in value]) if isinstance(value, tuple) else value

    def collector(self, key: Selector, value: Selector) -> Collector:
        return SumCollector(key.single, value.single)

    def result_type(self, value_type: Any) -> Any:
        # Not int alone: its coder is limited to 64 bits, a sum is not.
        parts = getattr(value_type, "tuple_types", None)
        return Number if parts is None else Tuple[(Number,) * len(parts)]


def _plus(one: Any, other: Any) -> Any:
    if isinstance(one, tuple):
        return tuple([_plus(a, b) for a, b in zip(one, other, strict=True)])
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        return _EXACT.add(one, other)
    return one + other


class SumCollector(Collector):
    """Partial sums as tables: key columns k0, k1..., value columns v0, v1..."""

    def __init__(self, single_key: bool, single_value: bool) -> None:
        self._single_key, self._single_value = single_key, single_value
        self._parts: list[pa.Table] = []
        self._integers: list[bool] = []

    def size(self) -> int:
        return sum(part.num_rows for part in self._parts)

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        names = [*(f"k{i}" for i in range(len(keys))), *(f"v{i}" for i in range(len(values)))]
        table = pa.table([*keys, *values], names)
        contributes = functools.reduce(pc.or_, map(pc.is_valid, values))
        if pc.all(contributes).as_py() is False:
            table = table.filter(contributes)
        self._parts.append(_summed(table))
        self._integers = self._integers or [pa.types.is_integer(column.type) for column in values]
        if len(self._parts) > 16 and self.size() > 8 * self._parts[0].num_rows:
            self._parts = [self._merged()]
        return table.num_rows

    def _merged(self) -> pa.Table:
        return _summed(pa.concat_tables(self._parts, promote_options="permissive"))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        if not self._parts:
            return
        table = self._merged()
        self._parts = []
        keys = [table[name].to_pylist() for name in table.column_names if name[0] == "k"]
        values = [_numbers(table[f"v{i}"], integers) for i, integers in enumerate(self._integers)]
        yield from zip(
            keys[0] if self._single_key else zip(*keys, strict=True),
            values[0] if self._single_value else zip(*values, strict=True),
            strict=True,
        )


def _summed(table: pa.Table) -> pa.Table:
    keys = [name for name in table.column_names if name[0] == "k"]
    values = [name for name in table.column_names if name[0] == "v"]
    columns = {name: _widened(table[name]) if name[0] == "v" else table[name] for name in table.column_names}
    sums = pa.table(columns).group_by(keys, use_threads=False).aggregate([(name, "sum") for name in values])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])


def _widened(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose sum can't overflow: Arrow's integers wrap around silently."""
    if pa.types.is_decimal(column.type):
        return column.cast(pa.decimal256(76, column.type.scale))
    if not pa.types.is_integer(column.type) or not len(column):
        return column
    bounds = pc.min_max(column).as_py()
    largest = max(abs(bounds["min"] or 0), abs(bounds["max"] or 0))
    return column if largest * len(column) < 2**62 else column.cast(pa.decimal256(76, 0))


def _numbers(column: pa.ChunkedArray, integers: bool) -> list[Any]:
    numbers = [0 if number is None else number for number in column.to_pylist()]
    return [int(number) for number in numbers] if integers and pa.types.is_decimal(column.type) else numbers
