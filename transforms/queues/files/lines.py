"""JSON lines: a message per line."""

import gzip
import io
import shutil
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import orjson

from ...base.dead_letter import DeadLetter
from ...base.files import open_file
from ...base.message import Message
from ..queue import Split
from ..record_json import letter_from_json, letter_to_json
from .format import Batches, Format, Records, Spool, gzip_errors, in_batches

__all__ = ["JsonLines", "Lines"]

_RANGE = 64 * 2**20
_CHUNK = 2**20
#: An attribute that only dead letters have.
_LETTER = "beam_patterns.fingerprint"


class JsonLines(Format):
    """A line is a message's value, byte for byte, or a dead letter as a JSON object. Empty lines are skipped."""

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """Parts of a long file, so that several workers can read it. A gzip file has one part."""
        if self.gzipped:
            return super().ranges(size)
        return [(start, min(start + _RANGE, size)) for start in range(0, size, _RANGE)]

    def as_stored(self, message: Message) -> Message:
        """The value on one line. A dead letter becomes an object: attributes, which hold the error, are not stored."""
        if message.attributes and message.attribute(_LETTER) is not None:
            return message._replace(value=letter_to_json(DeadLetter.from_message(message)))
        value = message.value
        if not value or value == b"\r":
            raise ValueError("an empty value would be an empty line, which readers skip; write to a .parquet file")
        if b"\n" not in value:
            return message
        try:
            orjson.loads(value)
        except ValueError:
            raise ValueError("the value has a line break and is not JSON; write to a .parquet file") from None
        # In valid JSON line breaks stand only between tokens, where a space means the same.
        return message._replace(value=value.replace(b"\n", b" "))

    def read(self, split: Split) -> Batches:
        """The lines that start in the range."""
        return in_batches(self._messages(*split))

    def _messages(self, path: str, offset: int, stop: int) -> Iterator[Message]:
        with self.open(path) as file, gzip_errors(path):
            if offset:
                file.seek(offset - 1)
                offset += len(file.readline()) - 1
            while (offset < stop or self.gzipped) and (line := file.readline()):
                value = line[:-1] if line.endswith(b"\n") else line
                if value and value != b"\r":
                    yield _message(value, path, offset)
                offset += len(line)

    def spool(self, file: BinaryIO, record: type) -> Spool:
        return Lines(file, self.compressed(file))

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """Concatenates the files, which is valid for gzip files too."""
        for path in [old, *shards] if old else shards:
            with open_file(path) as file:
                shutil.copyfileobj(file, new, _CHUNK)
            if path == old and not self._ends_in_line_break(path):
                new.write(gzip.compress(b"\n", mtime=0) if self.gzipped else b"\n")

    def _ends_in_line_break(self, path: str) -> bool:
        last = b"\n"
        with self.open(path) as file, gzip_errors(path):
            if not self.gzipped:
                file.seek(max(0, file.seek(0, io.SEEK_END) - 1))
            while chunk := file.read(_CHUNK):
                last = chunk
        return last.endswith(b"\n")


class Lines(Spool):
    """Writes lines to an open file, through `compressed`, which may be the file itself."""

    def __init__(self, file: BinaryIO, compressed: BinaryIO) -> None:
        self._file, self._compressed = file, compressed

    def write(self, records: Records) -> None:
        self._compressed.write(b"".join([_line(record) + b"\n" for record in records]))

    def close(self) -> None:
        if self._compressed is not self._file:
            self._compressed.close()


def _line(record: Message | DeadLetter) -> bytes:
    return letter_to_json(record) if isinstance(record, DeadLetter) else record.value or b""


def _message(line: bytes, path: str, offset: int) -> Message:
    source = (path, 0, offset)
    letter = letter_from_json(line) if line.startswith(b'{"payload') else None
    return letter.as_message()._replace(source=source) if letter else Message._make((line, None, (), None, source))
