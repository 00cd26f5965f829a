"""Selectors of keys and values: columns, pyarrow expressions, functions and constants."""

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.coders import Coder, registry
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional, Tuple
from apache_beam.typehints.row_type import RowTypeConstraint
from pyarrow import acero

from .hints import return_type

__all__ = ["ColumnExpression", "ExpressionPart", "Selectable", "Selector", "evaluate"]

_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), bytes: pa.binary()}
_PYTHON = {arrow: python for python, arrow in _ARROW.items()} | {pa.date32(): datetime.date}


class ColumnExpression(Protocol):
    """A `pyarrow.compute.Expression`, for type checkers: pyarrow has no type information."""

    def cast(self, *args: Any, **kwargs: Any) -> Any: ...
    def is_valid(self) -> Any: ...
    def isin(self, values: Any) -> Any: ...


Selectable = str | ColumnExpression | Callable[[Any], Any] | int | Decimal


class Selector:
    """One part or a tuple of parts: `"region"`, `pc.field("cents") * 2`, a function of one element, a number.

    >>> Selector(("region", len, 1), "key")({"region": "north"})
    ('north', 1, 1)
    """

    def __init__(self, given: Selectable | Sequence[Selectable], argument: str) -> None:
        self.single = not isinstance(given, tuple | list)
        self._parts = [_part(part, argument) for part in ([given] if self.single else given)]  # type: ignore[union-attr]
        if not self._parts:
            raise ValueError(f"{argument} is empty; name at least one column, or give a function of one element")

    def __call__(self, element: Any) -> Any:
        """The value for one element. May raise."""
        if self.single:
            return self._parts[0](element)
        return tuple([part(element) for part in self._parts])

    def columns(self, table: pa.Table) -> list[pa.ChunkedArray] | None:
        """The values for all rows, a column per part; None if a function needs rows. May raise."""
        if any(isinstance(part, _Function) for part in self._parts):
            return None
        if all(isinstance(part, _Column) for part in self._parts):
            return [table[part.name] for part in self._parts]
        return evaluate(table, [part.expression for part in self._parts]).columns

    def type_of(self, element_type: Any) -> Any:
        """The type of the values, as far as it is known before the run."""
        types = [part.type_of(element_type) for part in self._parts]
        return types[0] if self.single else Tuple[tuple(types)]


def evaluate(table: pa.Table, expressions: list[pc.Expression]) -> pa.Table:
    """The expressions' values for each row, in columns named 0, 1, 2..."""
    scan = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    names = [str(i) for i in range(len(expressions))]
    project = acero.Declaration("project", acero.ProjectNodeOptions(expressions, names))
    return acero.Declaration.from_sequence([scan, project]).to_table(use_threads=False)


class _Column:
    def __init__(self, name: str) -> None:
        self.name, self.expression = name, pc.field(name)

    def __call__(self, element: Any) -> Any:
        return element[self.name] if isinstance(element, dict) else getattr(element, self.name)

    def type_of(self, element_type: Any) -> Any:
        row = RowTypeConstraint.from_user_type(element_type)
        fields = dict((row or element_type)._fields) if row or isinstance(element_type, RowTypeConstraint) else {}
        if fields and self.name not in fields:
            raise ValueError(f"the rows have no column {self.name!r}; they have {', '.join(fields)}")
        return fields.get(self.name, AnyType)


class ExpressionPart:
    """A pyarrow expression, on rows that come one by one too: NamedTuples, beam.Rows or dicts."""

    def __init__(self, expression: pc.Expression) -> None:
        self.expression = expression

    def __call__(self, element: Any) -> Any:
        row = element if isinstance(element, dict) else element._asdict()
        return self.column(pa.Table.from_pylist([row]))[0].as_py()

    def column(self, table: pa.Table) -> pa.ChunkedArray:
        """The expression's value for each row."""
        return evaluate(table, [self.expression])[0]

    def type_of(self, element_type: Any) -> Any:
        row = RowTypeConstraint.from_user_type(element_type)
        if row is None:
            return AnyType
        schema = pa.schema([(name, _ARROW.get(_without_none(kind), pa.null())) for name, kind in row._fields])
        found = self.column(schema.empty_table()).type
        return Optional[_PYTHON[found]] if found in _PYTHON else AnyType


class _Function:
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, element: Any) -> Any:
        return self._function(element)

    def type_of(self, element_type: Any) -> Any:
        return return_type(self._function, element_type)


class _Constant:
    def __init__(self, number: Any) -> None:
        self._number, self.expression = number, pc.scalar(number)

    def __call__(self, element: Any) -> Any:
        return self._number

    def type_of(self, element_type: Any) -> Any:
        return type(self._number)


def _part(given: Any, argument: str) -> Any:
    if isinstance(given, str):
        return _Column(given)
    if isinstance(given, pc.Expression):
        return ExpressionPart(given)
    if callable(given):
        return _Function(given)
    if isinstance(given, int | Decimal) and not isinstance(given, bool):
        return _Constant(given)
    raise TypeError(
        f"{argument} accepts a column's name, a pyarrow expression, a function of one element, a number, "
        f"or a tuple of these, not {given!r}"
    )


def _without_none(kind: Any) -> Any:
    """T for Optional[T]."""
    choices = [choice for choice in getattr(kind, "__args__", ()) or getattr(kind, "union_types", ())]
    kept = [choice for choice in choices if choice is not type(None)]
    return kept[0] if len(kept) == 1 else kind


class DateCoder(Coder):
    """Encodes a date always as the same bytes, which a key needs. Beam's pickling fallback does not."""

    def encode(self, value: datetime.date) -> bytes:
        return value.toordinal().to_bytes(4, "big")

    def decode(self, encoded: bytes) -> datetime.date:
        return datetime.date.fromordinal(int.from_bytes(encoded, "big"))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return datetime.date


registry.register_coder(datetime.date, DateCoder)
