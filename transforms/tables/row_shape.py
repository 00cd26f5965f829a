"""Columns of files as the fields of a row type: what Beam's rows have no word for becomes the whole number beneath."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Shape"]

_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), bytes: pa.binary()}


class _Field(NamedTuple):
    name: str
    arrow: pa.DataType
    nullable: bool
    declared: pa.DataType | None


class Shape:
    """How a raw table becomes rows of a type."""

    def __init__(self, row: Any, types: Mapping[str, pa.DataType]) -> None:
        if not (isinstance(row, type) and issubclass(row, tuple) and hasattr(row, "_fields")):
            raise TypeError(f"ReadRows(files, row) takes a NamedTuple class whose fields are columns, not {row!r}")
        hints = get_type_hints(row)
        self.row = row
        for name in types:
            if name not in hints:
                raise ValueError(f"ReadRows(types=...): {row.__name__} has no field {name!r}, only {', '.join(hints)}")
        self.fields = [_field(row, name, hints[name], types.get(name)) for name in row._fields]
        self.names = [field.name for field in self.fields]
        self.schema = pa.schema([pa.field(field.name, field.arrow, field.nullable) for field in self.fields])

    def fitted(self, raw: pa.Table) -> pa.Table:
        """All rows. Raises for a table in which any row has something else than its field can hold."""
        return pa.table([_column(raw[field.name], field) for field in self.fields], schema=self.schema)

    def check(self, raw: pa.Table) -> None:
        """Raises a ValueError for columns of types that no row could make fit."""
        try:
            self.fitted(raw.schema.empty_table())
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error

    def sifted(self, raw: pa.Table, start: int = 0) -> Iterator[pa.Table | tuple[int, Exception]]:
        """The good rows in tables, and for each bad one its index and why, found by halving."""
        if not raw.num_rows:
            return
        try:
            yield self.fitted(raw)
        except (pa.ArrowException, ValueError) as error:
            if raw.num_rows == 1:
                yield start, ValueError(str(error).partition("\n")[0])
                return
            middle = raw.num_rows // 2
            yield from self.sifted(raw.slice(0, middle), start)
            yield from self.sifted(raw.slice(middle), start + middle)


def _field(row: type, name: str, hint: Any, declared: pa.DataType | None) -> _Field:
    nullable = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
    if get_origin(hint) is UnionType:
        raise TypeError(f"{row.__name__}.{name}: Beam's rows know Optional[...], not {hint}; write it so")
    python = next(kind for kind in get_args(hint) if kind is not type(None)) if nullable else hint
    if python not in _ARROW:
        raise TypeError(
            f"{row.__name__}.{name} is {hint}; a row in Arrow tables has int, float, str, bool, bytes or Optional "
            "of these. An amount, time or date is an int, with types={...: pa.decimal128(18, 2)} as in the file"
        )
    whole = declared is not None and (pa.types.is_decimal128(declared) or pa.types.is_temporal(declared))
    if declared is not None and (not whole or python is not int):
        raise TypeError(
            f"{row.__name__}.{name}: types= is for fields of int that are amounts (pa.decimal128), times "
            f"(pa.timestamp) or dates (pa.date32), not for {hint} of {declared}"
        )
    return _Field(name, _ARROW[python], nullable, declared)


def _column(column: pa.ChunkedArray, field: _Field) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) and field.arrow != pa.binary():
        column = column.cast(pa.string())  # As CSV comes: now it is known to be UTF-8.
        if not field.nullable and pc.any(pc.equal(column, "")).as_py():
            raise ValueError(f"{field.name} is empty")
        if field.nullable:
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if field.declared is not None:
        column = _whole_numbers(_named(_Cast(column), field)(field.declared), field)
    elif pa.types.is_temporal(column.type) and field.arrow == pa.int64():
        raise ValueError(
            f"{field.name} is of type {column.type} in the file; say in which unit you want it, "
            f"types={{{field.name!r}: pa.timestamp('us', 'UTC')}}"
        )
    elif column.type != field.arrow:
        column = _named(column.cast, field)(field.arrow)
    if column.null_count and not field.nullable:
        raise ValueError(f"{field.name} is null")
    return column


class _Cast:
    """To a declared type. A time that is written to the nanosecond is fine in a coarser unit if it ends in zeros."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __call__(self, kind: pa.DataType) -> pa.ChunkedArray:
        try:
            return self._column.cast(kind)
        except pa.ArrowInvalid:
            if not pa.types.is_timestamp(kind) or not pa.types.is_string(self._column.type):
                raise
            return self._column.cast(pa.timestamp("ns", kind.tz)).cast(kind)


def _named(cast: Any, field: _Field) -> Any:
    """Arrow's own errors do not say which column they are about."""

    def named(kind: pa.DataType) -> Any:
        try:
            return cast(kind)
        except pa.ArrowException as error:
            raise ValueError(f"{field.name}: {error}") from error

    return named


def _whole_numbers(column: pa.ChunkedArray, field: _Field) -> pa.ChunkedArray:
    """Cents of an amount, microseconds of a time, days of a date."""
    if pa.types.is_decimal128(column.type):
        return pa.chunked_array([_unscaled(chunk, field.name) for chunk in column.chunks], pa.int64())
    bits = pa.int32() if column.type.bit_width == 32 else pa.int64()
    return pa.chunked_array([chunk.view(bits).cast(pa.int64()) for chunk in column.chunks], pa.int64())


def _unscaled(amounts: pa.Array, name: str) -> pa.Array:
    """Arrow keeps a decimal as a number of 128 bits, of which 64 hold any amount there is."""
    halves = np.frombuffer(amounts.buffers()[1], np.int64)[2 * amounts.offset : 2 * (amounts.offset + len(amounts))]
    low, high = halves[::2], halves[1::2]
    mask = np.asarray(amounts.is_null())
    if not np.array_equal(high[~mask], (low >> 63)[~mask]):
        raise ValueError(f"{name} has an amount that does not fit into 64 bits")
    return pa.array(low, pa.int64(), mask=mask)
