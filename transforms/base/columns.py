"""What users give to select by: predicates, and selectors of keys and values; both by columns where possible."""

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional, Tuple
from apache_beam.typehints.row_type import RowTypeConstraint
from pyarrow import acero

from .coders import StableCoder
from .hints import return_type
from .pattern import T

#: Arrow's type for each type of a row's field.
ARROW_TYPES = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), bytes: pa.binary()}
_PYTHON = {arrow: python for python, arrow in ARROW_TYPES.items()} | {pa.date32(): datetime.date}


class ColumnExpression(Protocol):
    """A `pyarrow.compute.Expression`, for type checkers: pyarrow has no type information."""

    def is_valid(self) -> Any: ...
    def isin(self, values: Any) -> Any: ...


#: A function of one element whose result is true or false, or a boolean expression over columns.
Predicate = Callable[[T], object] | ColumnExpression
#: One part or several: the names of columns, expressions, functions of one element, numbers.
Selection = str | ColumnExpression | Callable[[Any], Any] | int | Decimal | Sequence[Any]


class Selector:
    """One part or a tuple of parts: `"region"`, `pc.field("cents") * 2`, a function of one element, a number.

    >>> Selector(("region", len, 1), "key")({"region": "north"})
    ('north', 1, 1)
    """

    def __init__(self, given: Selection, argument: str) -> None:
        self.single = not isinstance(given, tuple | list)
        self._parts = [_part(part, argument) for part in ([given] if self.single else given)]  # type: ignore[union-attr]
        if not self._parts:
            raise ValueError(f"{argument} is empty; name at least one column, or give a function of one element")

    def __call__(self, element: Any) -> Any:
        """The value for one element. May raise."""
        if self.single:
            return self._parts[0].value(element)
        return tuple([part.value(element) for part in self._parts])

    def columns(self, table: pa.Table) -> list[pa.ChunkedArray] | None:
        """The values for all rows, a column per part; None if a function needs rows. May raise."""
        if any(part.expression is None for part in self._parts):
            return None
        if all(part.column for part in self._parts):
            return [table[part.column] for part in self._parts]
        return _evaluated(table, [part.expression for part in self._parts])

    def type_of(self, element_type: Any) -> Any:
        """The type of the values, as far as it is known before the run."""
        types = [part.type_of(element_type) for part in self._parts]
        return types[0] if self.single else Tuple[tuple(types)]


def checked_predicate(given: Any, argument: str) -> Callable[[Any], Any]:
    """A callable for a user's predicate; for an expression, a ColumnPredicate. Raises TypeError for anything else."""
    if isinstance(given, pc.Expression):
        return ColumnPredicate(given)
    if callable(given):
        return given
    raise TypeError(
        f"{argument} must be a function of one element or a pyarrow.compute.Expression, not {given!r}; "
        "write, for example, `lambda order: order.shipped` or `pc.field('shipped')`"
    )


class RowExpression:
    """A pyarrow expression that is a function of one row: a NamedTuple, beam.Row or dict."""

    def __init__(self, expression: pc.Expression) -> None:
        self.expression = expression

    def __call__(self, element: Any) -> Any:
        row = element if isinstance(element, dict) else element._asdict()
        return self.column(pa.Table.from_pylist([row]))[0].as_py()

    def column(self, table: pa.Table) -> pa.ChunkedArray:
        """The expression's value for each row."""
        return _evaluated(table, [self.expression])[0]

    def type_of(self, element_type: Any) -> Any:
        """The type of the value, as far as it is known before the run."""
        row = RowTypeConstraint.from_user_type(element_type)
        if row is None:
            return AnyType
        schema = pa.schema([(name, ARROW_TYPES.get(without_none(kind), pa.null())) for name, kind in row._fields])
        found = self.column(schema.empty_table()).type
        return Optional[_PYTHON[found]] if found in _PYTHON else AnyType


class ColumnPredicate(RowExpression):
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


class _Part(NamedTuple):
    """A part's value of an element and its type; its expression, unless it needs rows; its name, if it is a column."""

    value: Callable[[Any], Any]
    type_of: Callable[[Any], Any]
    expression: pc.Expression | None = None
    column: str = ""


def _part(given: Any, argument: str) -> _Part:
    if isinstance(given, str):
        return _Part(partial(_field, given), partial(_field_type, given), pc.field(given), given)
    if isinstance(given, pc.Expression):
        expression = RowExpression(given)
        return _Part(expression, expression.type_of, given)
    if callable(given):
        return _Part(given, partial(return_type, given))
    if isinstance(given, int | Decimal) and not isinstance(given, bool):
        return _Part(lambda element: given, lambda element_type: type(given), pc.scalar(given))
    raise TypeError(
        f"{argument} accepts a column's name, a pyarrow expression, a function of one element, a number, "
        f"or a tuple of these, not {given!r}"
    )


def _field(name: str, element: Any) -> Any:
    return element[name] if isinstance(element, dict) else getattr(element, name)


def _field_type(name: str, element_type: Any) -> Any:
    row = RowTypeConstraint.from_user_type(element_type)
    fields = dict((row or element_type)._fields) if row or isinstance(element_type, RowTypeConstraint) else {}
    if fields and name not in fields:
        raise ValueError(f"the rows have no column {name!r}; they have {', '.join(fields)}")
    return fields.get(name, AnyType)


def _evaluated(table: pa.Table, expressions: list[pc.Expression]) -> list[pa.ChunkedArray]:
    scan = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    names = [str(i) for i in range(len(expressions))]
    project = acero.Declaration("project", acero.ProjectNodeOptions(expressions, names))
    return acero.Declaration.from_sequence([scan, project]).to_table(use_threads=False).columns


def without_none(kind: Any) -> Any:
    """T for Optional[T]."""
    choices = getattr(kind, "__args__", ()) or getattr(kind, "union_types", ())
    kept = [choice for choice in choices if choice is not type(None)]
    return kept[0] if len(kept) == 1 else kind


class DateCoder(StableCoder):
    """Encodes a date, which can't be a key with Beam's own coder: that pickles it."""

    def encode(self, value: datetime.date) -> bytes:
        return value.toordinal().to_bytes(4, "big")

    def decode(self, encoded: bytes) -> datetime.date:
        return datetime.date.fromordinal(int.from_bytes(encoded, "big"))


DateCoder.register(datetime.date)
