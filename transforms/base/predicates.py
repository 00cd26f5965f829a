"""Predicates: a function of one element, or a pyarrow expression over columns."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .columns import ColumnExpression, ExpressionPart
from .stream import T

__all__ = ["ColumnPredicate", "Predicate", "checked_predicate"]

#: A function of one element whose result is true or false, or a boolean expression over columns.
Predicate = Callable[[T], object] | ColumnExpression


def checked_predicate(given: Any, argument: str) -> Callable[[Any], Any]:
    """A callable for a user's predicate; for an expression, a ColumnPredicate. Raises TypeError for anything else."""
    if isinstance(given, pc.Expression):
        return ColumnPredicate(given)
    if callable(given):
        return given
    raise TypeError(
        f"{argument} must be a function of one element or a pyarrow.compute.Expression, not {given!r}; "
        "write for instance `lambda order: order.shipped` or `pc.field('shipped')`"
    )


class ColumnPredicate(ExpressionPart):
    """A boolean pyarrow expression. Null counts as false, as in SQL's WHERE."""

    def __call__(self, element: Any) -> bool:
        return bool(super().__call__(element))

    def column(self, table: pa.Table) -> pa.ChunkedArray:
        """True for each row for which the expression holds."""
        column = super().column(table)
        if column.type != pa.bool_():
            raise TypeError(
                f"the expression {self.expression} is of type {column.type}, not boolean; compare it with something"
            )
        return pc.fill_null(column, False)

    def __str__(self) -> str:
        return str(self.expression)
