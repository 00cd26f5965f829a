"""Columns of files as fields of a row type; types that Beam's rows don't support become whole numbers."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..base.columns import ARROW_TYPES, without_none


class _Field(NamedTuple):
    name: str
    arrow: pa.DataType
    nullable: bool
    declared: pa.DataType | None


class Shape:
    """Converts raw tables to rows of a type."""

    def __init__(self, row: Any, types: Mapping[str, pa.DataType]) -> None:
        if not (isinstance(row, type) and issubclass(row, tuple) and hasattr(row, "_fields")):
            raise TypeError(f"ReadRows(files, row) needs a NamedTuple class whose fields are columns, not {row!r}")
        hints = get_type_hints(row)
        self.row = row
        for name in types:
            if name not in hints:
                raise ValueError(f"ReadRows(types=...): {row.__name__} has no field {name!r}, only {', '.join(hints)}")
        self.fields = [_field(row, name, hints[name], types.get(name)) for name in row._fields]
        self.names = [field.name for field in self.fields]
        self.schema = pa.schema([pa.field(field.name, field.arrow, field.nullable) for field in self.fields])

    def converted(self, raw: pa.Table) -> pa.Table:
        """All rows. Raises for a table with a value that its field can't hold."""
        return pa.table([_column(raw[field.name], field) for field in self.fields], schema=self.schema)

    def converted_or_invalid(self, raw: pa.Table, start: int = 0) -> Iterator[pa.Table | tuple[int, Exception]]:
        """The valid rows in tables, and for each invalid row its index and an error, found by bisection."""
        if not raw.num_rows:
            return
        try:
            yield self.converted(raw)
        except (pa.ArrowException, ValueError) as error:
            if raw.num_rows == 1:
                yield start, ValueError(str(error).partition("\n")[0])
                return
            middle = raw.num_rows // 2
            yield from self.converted_or_invalid(raw.slice(0, middle), start)
            yield from self.converted_or_invalid(raw.slice(middle), start + middle)


def _field(row: type, name: str, hint: Any, declared: pa.DataType | None) -> _Field:
    nullable = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
    if get_origin(hint) is UnionType:
        raise TypeError(f"{row.__name__}.{name}: Beam's rows support Optional[...], not {hint}; write Optional[...]")
    python = without_none(hint)
    if python not in ARROW_TYPES:
        raise TypeError(
            f"{row.__name__}.{name} is {hint}; a row in Arrow tables has int, float, str, bool, bytes or Optional "
            "of these. Amounts, times and dates are int, with their type in the file: types={...: pa.decimal128(18, 2)}"
        )
    whole = declared is not None and (pa.types.is_decimal128(declared) or pa.types.is_temporal(declared))
    if declared is not None and (not whole or python is not int):
        raise TypeError(
            f"{row.__name__}.{name}: types= is for int fields that are amounts (pa.decimal128), times "
            f"(pa.timestamp) or dates (pa.date32), not for {hint} of {declared}"
        )
    return _Field(name, ARROW_TYPES[python], nullable, declared)


def _column(column: pa.ChunkedArray, field: _Field) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) and field.arrow != pa.binary():
        column = column.cast(pa.string())  # CSV columns are binary; this checks that they are UTF-8.
        if not field.nullable and pc.any(pc.equal(column, "")).as_py():
            raise ValueError(f"{field.name} is empty")
        if field.nullable:
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if field.declared is not None:
        column = _whole_numbers(_cast(column, field.declared, field.name), field)
    elif pa.types.is_temporal(column.type) and field.arrow == pa.int64():
        raise ValueError(
            f"{field.name} is of type {column.type} in the file; name the unit that you want, "
            f"types={{{field.name!r}: pa.timestamp('us', 'UTC')}}"
        )
    elif column.type != field.arrow:
        column = _cast(column, field.arrow, field.name)
    if column.null_count and not field.nullable:
        raise ValueError(f"{field.name} is null")
    return column


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """The column as a type. Nanoseconds that are zero do not prevent a cast of a time to a coarser unit."""
    try:
        if pa.types.is_timestamp(kind) and pa.types.is_string(column.type):
            with suppress(pa.ArrowInvalid):
                return column.cast(kind)
            column = column.cast(pa.timestamp("ns", kind.tz))
        return column.cast(kind)
    except pa.ArrowException as error:  # Arrow's errors do not name the column.
        raise ValueError(f"{name}: {error}") from error


def _whole_numbers(column: pa.ChunkedArray, field: _Field) -> pa.ChunkedArray:
    """The cents of an amount, the microseconds of a time, the days of a date."""
    if pa.types.is_decimal128(column.type):
        return pa.chunked_array([_unscaled(chunk, field.name) for chunk in column.chunks], pa.int64())
    bits = pa.int32() if column.type.bit_width == 32 else pa.int64()
    return pa.chunked_array([chunk.view(bits).cast(pa.int64()) for chunk in column.chunks], pa.int64())


def _unscaled(amounts: pa.Array, name: str) -> pa.Array:
    """The numbers of decimals, which Arrow keeps in 128 bits; 64 of them are enough for amounts of money."""
    halves = np.frombuffer(amounts.buffers()[1], np.int64)[2 * amounts.offset : 2 * (amounts.offset + len(amounts))]
    low, high = halves[::2], halves[1::2]
    mask = np.asarray(amounts.is_null())
    if not np.array_equal(high[~mask], (low >> 63)[~mask]):
        raise ValueError(f"{name} has an amount that does not fit into 64 bits")
    return pa.array(low, pa.int64(), mask=mask)
