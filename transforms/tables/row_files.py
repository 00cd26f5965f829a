"""Parquet and CSV files as raw tables, with a limited number of rows at a time."""

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from ..base.coders import RecordCoder
from ..base.errors import QueueError, UnreadableError
from ..base.files import file_errors, find_files, open_file

_ROWS, _BLOCK = 131_072, 4 * 2**20


@RecordCoder.register
class Part(NamedTuple):
    """The unit of work: a row group of a Parquet file, or a whole CSV file, since a quoted field may span lines."""

    path: str
    group: int
    first: int
    """Number of the first row in the file."""


class Raw(NamedTuple):
    """A raw table, and the rows that could not be split into its columns: number, text, error."""

    table: pa.Table
    first: int
    broken: list[tuple[int, bytes, str]]

    def number(self, index: int) -> int:
        """A row's number in the file; the first row below a header is 0."""
        number = self.first + index
        for skipped, *_ in self.broken:
            number += skipped <= number
        return number

    def row(self, index: int) -> bytes:
        """A row as it was in a CSV file, or as JSON."""
        columns = [column[index].as_py() for column in self.table.columns]
        if all(isinstance(value, bytes) for value in columns):
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(
                [value.decode("utf-8", "surrogateescape") for value in columns]
            )
            return text.getvalue().encode("utf-8", "surrogateescape")
        row = dict(zip(self.table.column_names, columns, strict=True))
        return orjson.dumps(row, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value))


def parts(pattern: str, names: list[str]) -> Iterator[Part | UnreadableError]:
    """The parts of all files of a pattern."""
    with file_errors(pattern, "read"):
        found = find_files(pattern)
        if not found:
            raise QueueError(f"no file matches {pattern}; check the path")
        for file in found:
            try:
                yield from _parts(file.path, names)
            except UnreadableError as error:
                yield error


def _parts(path: str, names: list[str]) -> Iterator[Part]:
    if not path.endswith(".parquet"):
        yield Part(path, 0, 0)
        return
    with open_file(path) as file, _readable(path, "Parquet"):
        metadata = pq.read_metadata(file)
    _check(path, metadata.schema.to_arrow_schema().names, names)
    first = 0
    for group in range(metadata.num_row_groups):
        yield Part(path, group, first)
        first += metadata.row_group(group).num_rows


def open_part(part: Part, names: list[str]) -> Iterator[Raw]:
    """The raw tables of a part, with about a hundred thousand rows each."""
    with file_errors(part.path, "read"):
        yield from (_parquet if part.path.endswith(".parquet") else _csv)(part, names)


def _parquet(part: Part, names: list[str]) -> Iterator[Raw]:
    first = part.first
    with open_file(part.path) as file, _readable(part.path, "Parquet"):
        batches = pq.ParquetFile(file).iter_batches(_ROWS, row_groups=[part.group], columns=names)
        for batch in batches:
            yield Raw(pa.Table.from_batches([batch]).select(names), first, [])
            first += batch.num_rows


def _csv(part: Part, names: list[str]) -> Iterator[Raw]:
    header = _header(part.path)
    if not header:
        return
    _check(part.path, header, names)
    broken: list[tuple[int, bytes, str]] = []

    def skip(row: Any) -> str:
        complaint = f"{row.actual_columns} fields, but the header has {row.expected_columns}"
        broken.append((row.number - 2, row.text.encode("utf-8", "surrogateescape"), complaint))
        return "skip"

    numbers = 0
    with _decompressed(part.path) as file, _readable(part.path, "CSV"):
        reader = _reader(file, header, skip)
        while reader is not None and (batch := next(reader, None)) is not None:
            yield Raw(pa.Table.from_batches([batch]), numbers, broken[:])
            numbers += batch.num_rows + len(broken)
            broken.clear()
    if broken:
        yield Raw(pa.table({name: pa.array([], pa.binary()) for name in header}), numbers, broken)


def _reader(file: Any, header: list[str], skip: Any) -> Any:
    try:
        return pc_csv.open_csv(
            file,
            pc_csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=header, skip_rows=1),
            pc_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            pc_csv.ConvertOptions(column_types={name: pa.binary() for name in header}, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error) or "Could not skip" in str(error):  # A header without rows.
            return None
        raise


def _decompressed(path: str) -> Any:
    file = open_file(path)
    return gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file


def _header(path: str) -> list[str]:
    with _decompressed(path) as file, _readable(path, "CSV"):
        return next(csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")), [])


def _check(path: str, there: list[str], wanted: list[str]) -> None:
    for name in wanted:
        if name not in there:
            raise QueueError(f"the file {path} has no column {name!r}; its columns are {', '.join(there)}")


@contextmanager
def _readable(path: str, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, EOFError) as error:
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise UnreadableError(f"the file {path} can't be read as {kind}: {reason}; write it again") from error
