"""Parquet: messages or dead letters by columns, or any other table with a JSON object per row."""

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
from .format import BATCH_BYTES, Format, Read, Records, Spool, batches

__all__ = ["Parquet"]

_ATTRIBUTES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
_MESSAGES = pa.schema(
    [("value", pa.binary()), ("key", pa.binary()), ("attributes", _ATTRIBUTES), ("timestamp", pa.float64())]
)
_LETTERS = pa.schema(
    [
        ("payload", pa.binary()),
        ("key", pa.binary()),
        ("attributes", _ATTRIBUTES),
        ("source", pa.string()),
        ("event_time", pa.float64()),
        ("step", pa.string()),
        ("attempts", pa.int64()),
        ("first_failed_at", pa.float64()),
        ("last_failed_at", pa.float64()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("traceback", pa.string()),
        ("fingerprint", pa.string()),
        ("pipeline", pa.string()),
        ("version", pa.int64()),
    ]
)
_ROWS, _GROUP_ROWS, _GROUP_BYTES = 4096, 65_536, 64 * 2**20


class Parquet(Format):
    """Messages come back as they were, with key, attributes and time; dead letters as the messages they stand for."""

    def read(self, split: Split) -> Read:
        """All rows of a file."""
        return batches(self._messages(split.partition))

    def _messages(self, path: str) -> Iterator[Message]:
        number = 0
        for table in self._tables(path):
            with _whole(path):
                messages = _messages_of(table)
            for message in messages:
                yield Message._make((*message[:4], (path, 0, number)))
                number += 1

    def _tables(self, path: str) -> Iterator[pa.RecordBatch]:
        with self.open(path) as file, _whole(path):
            parquet = pq.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                size = parquet.metadata.row_group(group)
                rows = size.num_rows * BATCH_BYTES // max(1, size.total_byte_size)
                yield from parquet.iter_batches(max(1, min(_ROWS, rows)), row_groups=[group], use_threads=False)

    def spool(self, file: BinaryIO, record: type) -> Spool:
        """A file of messages or of dead letters."""
        return _Table(file, _LETTERS if record is DeadLetter else _MESSAGES)

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """All rows, in row groups of a good size; dead letters join messages as the messages they stand for."""
        schema = self._schema(old or shards[0])
        paths = [old, *shards] if old else shards
        if schema is _LETTERS and any(self._schema(path) is _MESSAGES for path in paths):
            raise QueueError(f"the file {old} holds dead letters; write other messages to a file of their own")
        with closing(_Table(new, schema)) as spool:
            for path in paths:
                for table in self._tables(path):
                    ours = _cast(table, schema)
                    spool.add(_to_table(_messages_of(table), schema) if ours is None else ours)

    def _schema(self, path: str) -> pa.Schema:
        with self.open(path) as file, _whole(path):
            names = set(pq.read_schema(file).names)
        for schema in (_MESSAGES, _LETTERS):
            if names == set(schema.names):
                return schema
        raise QueueError(
            f"the file {path} has the columns {', '.join(sorted(names))}, not those of messages "
            f"({', '.join(_MESSAGES.names)}), so none can be appended; name another file"
        )


class _Table(Spool):
    """Gathers batches into row groups."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._schema, self._held, self._rows, self._bytes = schema, list[pa.RecordBatch](), 0, 0
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, records: Records) -> None:
        self.add(_to_table(records, self._schema))

    def add(self, table: pa.RecordBatch) -> None:
        """Writes a row group when there is enough for one."""
        self._held.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._write()

    def close(self) -> None:
        if self._held:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._held, self._schema))
        self._held, self._rows, self._bytes = [], 0, 0


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
    """Flat and in pieces: an object for each struct in between would take most of the time."""
    flat = column.flatten()
    pairs = zip(flat.field("name").to_pylist(), flat.field("value").to_pylist(), strict=True)
    return [tuple(islice(pairs, length or 0)) for length in pc.list_value_length(column).to_pylist()]


def _messages_of(table: pa.RecordBatch) -> list[Message]:
    if (messages := _cast(table, _MESSAGES)) is not None:
        return [Message(*row) for row in _rows(messages)]
    if (letters := _cast(table, _LETTERS)) is not None:
        return [DeadLetter(*row).as_message() for row in _rows(letters)]
    return [Message(orjson.dumps(row, default=_plain)) for row in _without_nanoseconds(table).to_pylist()]


def _cast(table: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch | None:
    """The table in this schema, or None where it holds something else."""
    if set(table.schema.names) != set(schema.names):
        return None
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):  # The same names for something else.
        return None


def _rows(table: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = {name: table.column(name).to_pylist() for name in table.schema.names if name != "attributes"}
    columns["attributes"] = _attributes(table.column("attributes"))
    return zip(*(columns[name] for name in table.schema.names), strict=True)


def _without_nanoseconds(table: pa.RecordBatch) -> pa.RecordBatch:
    """Python's times know none; as text they are kept."""
    schema = pa.schema(
        [field.with_type(pa.string()) if getattr(field.type, "unit", "") == "ns" else field for field in table.schema]
    )
    return table.cast(schema)


def _plain(value: Any) -> str:
    """What JSON has no form for: bytes as text or base64, decimals and durations as text."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


@contextmanager
def _whole(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        said = str(error).partition("\n")[0].rstrip(". ")
        raise UnreadableError(
            f"the file {path} is no complete Parquet file: {said}; if its writing was interrupted, write it again"
        ) from error
