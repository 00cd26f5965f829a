"""CSV files: a message per row, a JSON object of strings."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from ...base.errors import UnreadableError
from ...base.files import open_file
from ...base.message import Message
from ..queue import Split
from .format import Batches, Format, Spool, gzip_errors, in_batches
from .lines import Lines

__all__ = ["Csv"]

#: Python's own limit, 128 KiB, is too small for some messages; without a limit an open quote would read a whole file.
_MAX_FIELD = 2**28


class Csv(Format):
    """The header row names the fields. Every value is read as a string, so "007" stays "007"."""

    #: The header is known only when all messages have been seen; until then they are spooled as lines.
    spools_files = False
    keeps_letters = False

    def as_stored(self, message: Message) -> Message:
        """The JSON object on one line."""
        try:
            fields = message.json()
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not fields:
            raise ValueError("the value is not a JSON object with fields, which a row needs; write to a .jsonl file")
        return message._replace(value=(message.value or b"").replace(b"\n", b" "))

    def read(self, split: Split) -> Batches:
        return in_batches(self._messages(split.partition))

    def _messages(self, path: str) -> Iterator[Message | UnreadableError]:
        rows = self._rows(path)
        header = next(rows, [])
        if len(set(header)) < len(header):
            raise UnreadableError(f"the file {path} names a column twice in its header {','.join(header)}; rename one")
        for number, row in enumerate(rows):
            yield _message(path, number, header, row)

    def _rows(self, path: str) -> Iterator[list[str]]:
        csv.field_size_limit(_MAX_FIELD)
        with self.open(path) as file, gzip_errors(path):
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            try:
                yield from filter(None, csv.reader(text))
            except csv.Error as error:
                raise UnreadableError(
                    f"the file {path} can't be read as CSV from some row on: {error}; check for an open quote"
                ) from error

    def spool(self, file: BinaryIO, record: type) -> Spool:
        return Lines(file, file)

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """Keeps the old columns in their order and adds new ones after them."""
        rows = self._rows(old) if old else iter(())
        header = dict.fromkeys(next(rows, []))
        for fields in _spooled(shards):
            header.update(dict.fromkeys(fields))
        file = self.compressed(new)
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        writer = csv.writer(text)  # With RFC 4180's CRLF: with other line ends Python leaves some line breaks unquoted.
        writer.writerow(header)
        writer.writerows(row + [""] * (len(header) - len(row)) for row in rows)
        writer.writerows([_cell(fields.get(name)) for name in header] for fields in _spooled(shards))
        text.detach()
        if file is not new:
            file.close()


def _message(path: str, number: int, header: list[str], row: list[str]) -> Message | UnreadableError:
    problem = f"row {number + 1} of the file {path}"
    if len(row) != len(header):
        problem += f" has {len(row)} fields, but the header names {len(header)}"
    else:
        try:
            return Message(orjson.dumps(dict(zip(header, row, strict=True))), source=(path, 0, number))
        except TypeError:  # Bytes that are not UTF-8 were decoded to lone surrogates, which orjson refuses.
            problem += " is not valid UTF-8"
    return UnreadableError(f"{problem}; correct it and send the row again", _original(row), number)


def _original(row: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(row)
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")


def _spooled(shards: Sequence[str]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        with open_file(shard) as file:
            yield from map(orjson.loads, file)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
