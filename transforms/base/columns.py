"""What a user selects of an element, as a key or a value: columns, pyarrow expressions, functions, constants."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.coders import Coder, registry
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional, Tuple
from apache_beam.typehints.row_type import RowTypeConstraint
from pyarrow import acero

from .hints import return_type

__all__ = ["Selector", "evaluate"]

_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), bytes: pa.binary()}
_PYTHON = {arrow: python for python, arrow in _ARROW.items()} | {pa.date32(): datetime.date}


class Selector:
    """One part or a tuple of parts: `"region"`, `pc.field("cents") * 2`, a function of one element, a number.

    >>> Selector(("region", len, 1), "key")({"region": "north"})
    ('north', 1, 1)
    """

    def __init__(self, given: Any, where: str) -> None:
        self.single = not isinstance(given, tuple | list)
        self._parts = [_part(part, where) for part in ([given] if self.single else given)]
        if not self._parts:
            raise ValueError(f"{where} is empty; name at least one column, or give a function of one element")

    def __call__(self, element: Any) -> Any:
        """What is selected of one element. May raise."""
        if self.single:
            return self._parts[0](element)
        return tuple([part(element) for part in self._parts])

    def columns(self, table: pa.Table) -> list[pa.ChunkedArray] | None:
        """What is selected of each row, a column per part; None if a function needs rows. May raise."""
        if any(isinstance(part, _Function) for part in self._parts):
            return None
        if all(isinstance(part, _Column) for part in self._parts):
            return [table[part.name] for part in self._parts]
        return evaluate(table, [part.expression for part in self._parts]).columns

    def type_of(self, element_type: Any) -> Any:
        """The type of what is selected, as far as it is known before the run."""
        types = [part.type_of(element_type) for part in self._parts]
        return types[0] if self.single else Tuple[tuple(types)]

    def __str__(self) -> str:
        return ", ".join(map(str, self._parts))


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

    def __str__(self) -> str:
        return f"the column {self.name}"


class _Expression:
    def __init__(self, expression: pc.Expression) -> None:
        self.expression = expression

    def __call__(self, element: Any) -> Any:
        row = element if isinstance(element, dict) else element._asdict()
        return evaluate(pa.Table.from_pylist([row]), [self.expression])[0][0].as_py()

    def type_of(self, element_type: Any) -> Any:
        row = RowTypeConstraint.from_user_type(element_type)
        if row is None:
            return AnyType
        schema = pa.schema([(name, _ARROW.get(_required(kind), pa.null())) for name, kind in row._fields])
        found = evaluate(schema.empty_table(), [self.expression]).schema.field(0).type
        return Optional[_PYTHON[found]] if found in _PYTHON else AnyType

    def __str__(self) -> str:
        return f"the expression {self.expression}"


class _Function:
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, element: Any) -> Any:
        return self._function(element)

    def type_of(self, element_type: Any) -> Any:
        return return_type(self._function, element_type)

    def __str__(self) -> str:
        return f"the function {getattr(self._function, '__name__', self._function)}"


class _Constant:
    def __init__(self, number: Any) -> None:
        self._number, self.expression = number, pc.scalar(number)

    def __call__(self, element: Any) -> Any:
        return self._number

    def type_of(self, element_type: Any) -> Any:
        return type(self._number)

    def __str__(self) -> str:
        return str(self._number)


def _part(given: Any, where: str) -> Any:
    if isinstance(given, str):
        return _Column(given)
    if isinstance(given, pc.Expression):
        return _Expression(given)
    if callable(given):
        return _Function(given)
    if isinstance(given, int | Decimal) and not isinstance(given, bool):
        return _Constant(given)
    raise TypeError(
        f"{where} takes a column's name, a pyarrow expression, a function of one element, a number, "
        f"or a tuple of these, not {given!r}"
    )


def _required(kind: Any) -> Any:
    """T of Optional[T]."""
    choices = [choice for choice in getattr(kind, "__args__", ()) or getattr(kind, "union_types", ())]
    kept = [choice for choice in choices if choice is not type(None)]
    return kept[0] if len(kept) == 1 else kind


class DateCoder(Coder):
    """Always the same bytes for a date, unlike Beam's pickling fallback, so that a date can be a key."""

    def encode(self, value: datetime.date) -> bytes:
        return value.toordinal().to_bytes(4, "big")

    def decode(self, encoded: bytes) -> datetime.date:
        return datetime.date.fromordinal(int.from_bytes(encoded, "big"))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return datetime.date


registry.register_coder(datetime.date, DateCoder)
