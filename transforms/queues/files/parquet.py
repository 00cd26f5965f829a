"""Parquet files: columns of messages or of dead letters, or any other table, a JSON object per row."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import accumulate, chain, islice
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...base.dead_letter import DeadLetter
from ...base.errors import QueueError, UnreadableError
from ...base.message import Message
from ..queue import Split
from .format import BATCH_BYTES, Batches, Format, Records, Spool, in_batches

__all__ = ["Parquet"]

_ATTRIBUTES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
_ARROW = {
    bytes | None: pa.binary(),
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    float | None: pa.float64(),
    tuple[tuple[str, bytes], ...]: _ATTRIBUTES,
}
_MESSAGES = pa.schema([(name, _ARROW[Message.__annotations__[name]]) for name in Message._fields if name != "source"])
_LETTERS = pa.schema([(name, _ARROW[kind]) for name, kind in DeadLetter.__annotations__.items()])
_ROWS, _GROUP_ROWS, _GROUP_BYTES = 4096, 65_536, 64 * 2**20


class Parquet(Format):
    """Stores whole messages, with key, attributes and time. Dead letters are read as the messages they represent."""

    def read(self, split: Split) -> Batches:
        return in_batches(self._messages(split.partition))

    def _messages(self, path: str) -> Iterator[Message]:
        number = 0
        for table in self._tables(path):
            with _parquet_errors(path):
                messages = _messages_of(table)
            for message in messages:
                yield Message._make((*message[:4], (path, 0, number)))
                number += 1

    def _tables(self, path: str) -> Iterator[pa.RecordBatch]:
        with self.open(path) as file, _parquet_errors(path):
            parquet = pq.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                size = parquet.metadata.row_group(group)
                rows = size.num_rows * BATCH_BYTES // max(1, size.total_byte_size)
                yield from parquet.iter_batches(max(1, min(_ROWS, rows)), row_groups=[group], use_threads=False)

    def spool(self, file: BinaryIO, record: type) -> Spool:
        return _TableSpool(file, _LETTERS if record is DeadLetter else _MESSAGES)

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """Writes all rows in larger row groups. Dead letters join messages as the messages that they represent."""
        schema = self._schema(old or shards[0])
        paths = [old, *shards] if old else shards
        if schema is _LETTERS and any(self._schema(path) is _MESSAGES for path in paths):
            raise QueueError(f"the file {old} holds dead letters; write other messages to another file")
        with closing(_TableSpool(new, schema)) as spool:
            for path in paths:
                for table in self._tables(path):
                    cast = _cast(table, schema)
                    spool.add(_to_table(_messages_of(table), schema) if cast is None else cast)

    def _schema(self, path: str) -> pa.Schema:
        with self.open(path) as file, _parquet_errors(path):
            names = set(pq.read_schema(file).names)
        for schema in (_MESSAGES, _LETTERS):
            if names == set(schema.names):
                return schema
        raise QueueError(
            f"the file {path} has the columns {', '.join(sorted(names))}, not those of messages "
            f"({', '.join(_MESSAGES.names)}), so messages can't be appended; name another file"
        )


class _TableSpool(Spool):
    """Collects batches into row groups."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._schema, self._batches, self._rows, self._bytes = schema, list[pa.RecordBatch](), 0, 0
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, records: Records) -> None:
        self.add(_to_table(records, self._schema))

    def add(self, table: pa.RecordBatch) -> None:
        """Appends a table, and writes a row group when it is large enough."""
        self._batches.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._write()

    def close(self) -> None:
        if self._batches:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._batches, self._schema))
        self._batches, self._rows, self._bytes = [], 0, 0


def _to_table(records: Records, schema: pa.Schema) -> pa.RecordBatch:
    columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in schema.names}
    columns["attributes"] = _attribute_column(columns["attributes"])
    return pa.RecordBatch.from_pydict(columns, schema)


def _attribute_column(attributes: Sequence[tuple[tuple[str, bytes], ...]]) -> pa.ListArray:
    pairs = list(chain.from_iterable(attributes))
    offsets = pa.array(accumulate(map(len, attributes), initial=0), pa.int32())
    columns = [pa.array([name for name, _ in pairs], pa.string()), pa.array([value for _, value in pairs], pa.binary())]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, fields=list(_ATTRIBUTES.value_type)))


def _attributes(column: pa.ListArray) -> list[tuple[tuple[str, bytes], ...]]:
    """Flattens the column first: creating an object per struct would take most of the time."""
    flat = column.flatten()
    pairs = zip(flat.field("name").to_pylist(), flat.field("value").to_pylist(), strict=True)
    return [tuple(islice(pairs, length or 0)) for length in pc.list_value_length(column).to_pylist()]


def _messages_of(table: pa.RecordBatch) -> list[Message]:
    if (messages := _cast(table, _MESSAGES)) is not None:
        return [Message(*row) for row in _rows(messages)]
    if (letters := _cast(table, _LETTERS)) is not None:
        return [DeadLetter(*row).as_message() for row in _rows(letters)]
    return [Message(orjson.dumps(row, default=_json_default)) for row in _without_nanoseconds(table).to_pylist()]


def _cast(table: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch | None:
    """The table cast to this schema; None if its columns do not fit."""
    if set(table.schema.names) != set(schema.names):
        return None
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):  # The same names with other types.
        return None


def _rows(table: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = {name: table.column(name).to_pylist() for name in table.schema.names if name != "attributes"}
    columns["attributes"] = _attributes(table.column("attributes"))
    return zip(*(columns[name] for name in table.schema.names), strict=True)


def _without_nanoseconds(table: pa.RecordBatch) -> pa.RecordBatch:
    """Casts nanosecond columns to text: Python's times would drop the nanoseconds."""
    schema = pa.schema(
        [field.with_type(pa.string()) if getattr(field.type, "unit", "") == "ns" else field for field in table.schema]
    )
    return table.cast(schema)


def _json_default(value: Any) -> str:
    """A value that JSON has no type for: bytes as text or base64, decimals and durations as text."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


@contextmanager
def _parquet_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise UnreadableError(
            f"the file {path} is not a complete Parquet file: {reason}; if writing it was interrupted, write it again"
        ) from error
