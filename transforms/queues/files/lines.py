"""JSON lines: one value per line."""

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
from .format import Format, Read, Records, Spool, batches, readable

__all__ = ["JsonLines", "Lines"]

_RANGE = 64 * 2**20
_CHUNK = 2**20
#: An attribute that only dead letters have.
_LETTER = "beam_patterns.fingerprint"


class JsonLines(Format):
    """A value per line, its bytes as they are; a dead letter as an object of its fields. Empty lines are none."""

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """Long files can be read by several workers."""
        if self.zipped:
            return super().ranges(size)
        return [(start, min(start + _RANGE, size)) for start in range(0, size, _RANGE)]

    def fitted(self, message: Message) -> Message:
        """The value on one line."""
        if (
            message.attributes and message.attribute(_LETTER) is not None
        ):  # Its error would be lost with the attributes.
            return message._replace(value=letter_to_json(DeadLetter.from_message(message)))
        value = message.value
        if not value or value == b"\r":
            raise ValueError("an empty value would be an empty line, which is no message; write to a .parquet file")
        if b"\n" not in value:
            return message
        try:
            orjson.loads(value)
        except ValueError:
            raise ValueError("the value has a line break and is no JSON; write to a .parquet file") from None
        # In valid JSON a line break stands between tokens only, so a space means the same.
        return message._replace(value=value.replace(b"\n", b" "))

    def read(self, split: Split) -> Read:
        """The lines that start in the range."""
        return batches(self._messages(*split))

    def _messages(self, path: str, offset: int, stop: int) -> Iterator[Message]:
        with self.open(path) as file, readable(path):
            if offset:
                file.seek(offset - 1)
                offset += len(file.readline()) - 1
            while (offset < stop or self.zipped) and (line := file.readline()):
                value = line[:-1] if line.endswith(b"\n") else line
                if value and value != b"\r":
                    yield _message(value, path, offset)
                offset += len(line)

    def spool(self, file: BinaryIO, record: type) -> Spool:
        """A file of lines."""
        return Lines(file, self.pack(file))

    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """One behind the other, which gzip allows too."""
        for path in [old, *shards] if old else shards:
            with open_file(path) as file:
                shutil.copyfileobj(file, new, _CHUNK)
            if path == old and not self._ends_in_line_break(path):
                new.write(gzip.compress(b"\n", mtime=0) if self.zipped else b"\n")

    def _ends_in_line_break(self, path: str) -> bool:
        last = b"\n"
        with self.open(path) as file, readable(path):
            if not self.zipped:
                file.seek(max(0, file.seek(0, io.SEEK_END) - 1))
            while chunk := file.read(_CHUNK):
                last = chunk
        return last.endswith(b"\n")


class Lines(Spool):
    """Lines into an open file, perhaps packed."""

    def __init__(self, file: BinaryIO, packed: BinaryIO) -> None:
        self._file, self._packed = file, packed

    def write(self, records: Records) -> None:
        self._packed.write(b"".join([_line(record) + b"\n" for record in records]))

    def close(self) -> None:
        if self._packed is not self._file:
            self._packed.close()


def _line(record: Message | DeadLetter) -> bytes:
    if isinstance(record, DeadLetter):
        return letter_to_json(record)
    return record.value or b""


def _message(line: bytes, path: str, offset: int) -> Message:
    source = (path, 0, offset)
    letter = letter_from_json(line) if line.startswith(b'{"payload') else None
    return letter.as_message()._replace(source=source) if letter else Message._make((line, None, (), None, source))
