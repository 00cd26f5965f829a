"""Predicates: a function of one element, or a pyarrow expression over columns."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .columns import evaluate

__all__ = ["ColumnPredicate", "Predicate", "predicate"]

Predicate = Callable[[Any], Any]


def predicate(given: Any, where: str) -> Predicate:
    """The callable for what the user gave; an Expression becomes one that can also be evaluated by columns."""
    if isinstance(given, pc.Expression):
        return ColumnPredicate(given)
    if callable(given):
        return given
    raise TypeError(
        f"{where} must be a function of one element or a pyarrow.compute.Expression, not {given!r}; "
        "write for instance `lambda order: order.shipped` or `pc.field('shipped')`"
    )


class ColumnPredicate:
    """A boolean pyarrow expression. Null counts as false, as in SQL's WHERE."""

    def __init__(self, expression: pc.Expression) -> None:
        self._expression = expression

    def __call__(self, row: Any) -> bool:
        """For rows that come one by one: NamedTuples, beam.Rows or dicts."""
        fields = row if isinstance(row, dict) else row._asdict()
        return bool(self.mask(pa.Table.from_pylist([fields]))[0].as_py())

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """True where the expression holds."""
        column = evaluate(table, [self._expression])[0]
        if column.type != pa.bool_():
            raise TypeError(f"the expression {self} is of type {column.type}, not boolean; compare it with something")
        return pc.fill_null(column, False)

    def __str__(self) -> str:
        return str(self._expression)
