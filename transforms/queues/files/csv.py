"""CSV: one JSON object of strings per row."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from ...base.errors import UnreadableError
from ...base.files import open_file
from ...base.message import Message
from ..queue import Split
from .format import Format, Read, Spool, batches, readable
from .lines import Lines

__all__ = ["Csv"]

#: Python's own limit, 128 KiB, is less than one message may be; without any, an open quote would take a whole file in.
_MAX_FIELD = 2**28


class Csv(Format):
    """The header row names the fields; every value is a string, so that "007" stays what it is."""

    #: The header is known only when everything has been seen; until then it is lines.
    spools_files = False
    keeps_letters = False

    def fitted(self, message: Message) -> Message:
        """An object on one line."""
        try:
            fields = message.json()
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not fields:
            raise ValueError("the value is no JSON object with fields, which make a row; write to a .jsonl file")
        return message._replace(value=(message.value or b"").replace(b"\n", b" "))

    def read(self, split: Split) -> Read:
        """All rows of a file."""
        return batches(self._messages(split.partition))

    def _messages(self, path: str) -> Iterator[Message | UnreadableError]:
        rows = self._rows(path)
        header = next(rows, [])
        if len(set(header)) < len(header):
            raise UnreadableError(f"the file {path} names a column twice in its header {','.join(header)}; rename one")
        for number, row in enumerate(rows):
            yield _message(path, number, header, row)

    def _rows(self, path: str) -> Iterator[list[str]]:
        csv.field_size_limit(_MAX_FIELD)
        with self.open(path) as file, readable(path):
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            try:
                yield from filter(None, csv.reader(text))
            except csv.Error as error:
                raise UnreadableError(
                    f"the file {path} is no CSV from some row on: {error}; is a quote open?"
                ) from error

    def spool(self, file: BinaryIO, record: type) -> Spool:
        """Lines, until the header is known."""
        return Lines(file, file)

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """The old columns first, new ones behind."""
        rows = self._rows(old) if old else iter(())
        header = dict.fromkeys(next(rows, []))
        for fields in _spooled(shards):
            header.update(dict.fromkeys(fields))
        packed = self.pack(new)
        text = io.TextIOWrapper(packed, encoding="utf-8", errors="surrogateescape", newline="")
        writer = csv.writer(text)  # RFC 4180's CRLF; with any other line end Python leaves some line breaks unquoted.
        writer.writerow(header)
        writer.writerows(row + [""] * (len(header) - len(row)) for row in rows)
        writer.writerows([_cell(fields.get(name)) for name in header] for fields in _spooled(shards))
        text.detach()
        if packed is not new:
            packed.close()


def _message(path: str, number: int, header: list[str], row: list[str]) -> Message | UnreadableError:
    said = f"row {number + 1} of the file {path}"
    if len(row) != len(header):
        said += f" has {len(row)} fields, the header names {len(header)}"
    else:
        try:
            return Message(orjson.dumps(dict(zip(header, row, strict=True))), source=(path, 0, number))
        except TypeError:  # Bytes that are no UTF-8 have become lone surrogates, which orjson refuses.
            said += " is not valid UTF-8"
    return UnreadableError(f"{said}; correct it and send the row again", _as_read(row), number)


def _as_read(row: list[str]) -> bytes:
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
