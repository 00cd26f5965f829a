"""The interface of a file format, and the format for a path's suffix."""

import gzip
import importlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from ...base.dead_letter import DeadLetter
from ...base.errors import UnreadableError
from ...base.files import open_file
from ...base.message import Message
from ..queue import Split

__all__ = [
    "BATCH_BYTES",
    "Batches",
    "Format",
    "Records",
    "Spool",
    "format_of",
    "gzip_errors",
    "in_batches",
    "is_format",
]

#: A batch ends at the first of these limits, so that large messages do not fill the memory.
_BATCH, BATCH_BYTES = 4096, 16 * 2**20
_FORMATS = {
    ".csv": "csv:Csv",
    ".json": "lines:JsonLines",
    ".jsonl": "lines:JsonLines",
    ".ndjson": "lines:JsonLines",
    ".parquet": "parquet:Parquet",
    ".txt": "lines:JsonLines",
}

Records = Sequence[Message] | Sequence[DeadLetter]
Batches = Iterator[list[Message] | UnreadableError]


class Spool(ABC):
    """A file that is written in batches of records, and is complete when it is closed."""

    @abstractmethod
    def write(self, records: Records) -> None:
        """Appends a batch."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is buffered. The underlying file stays open."""


class Format(ABC):
    """How files of a format store messages."""

    #: Whether the file that a Spool writes has this format already.
    spools_files = True
    #: Whether the format stores the fields of a DeadLetter.
    keeps_letters = True

    def __init__(self, gzipped: bool) -> None:
        self.gzipped = gzipped

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """The parts of a file that can be read independently; an empty file has none."""
        return [(0, size)] if size else []

    def as_stored(self, message: Message) -> Message:
        """The message in the form that this format stores. Raises ValueError with the reason if it can't hold it."""
        return message

    @abstractmethod
    def read(self, split: Split) -> Batches:
        """The messages in a part of a file."""

    @abstractmethod
    def spool(self, file: BinaryIO, record: type) -> Spool:
        """A Spool that writes Messages or DeadLetters to an open file."""

    @abstractmethod
    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """Writes the old file, if there is one, and the spooled files to one new file."""

    def open(self, path: str) -> BinaryIO:
        """Opens a file for reading, decompressed."""
        file = open_file(path)
        return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if self.gzipped else file

    def compressed(self, file: BinaryIO) -> BinaryIO:
        """A file that compresses what is written to `file`. It contains no time, so equal messages make equal files."""
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if self.gzipped else file


def is_format(suffix: str) -> bool:
    """Whether files with this suffix hold messages."""
    return suffix.lower() in _FORMATS


def format_of(path: str) -> Format:
    """The format that the suffix of a path names. Raises ValueError for an unknown suffix."""
    name = PurePosixPath(path).name.lower()
    gzipped = name.endswith(".gz")
    suffix = PurePosixPath(name.removesuffix(".gz")).suffix
    if suffix == ".parquet" and gzipped:
        raise ValueError(
            f"the file {path} would be compressed twice, since Parquet compresses itself; name it .parquet"
        )
    if suffix not in _FORMATS:
        raise ValueError(
            f"the file {path} has no suffix that names a format; known are {', '.join(_FORMATS)}, "
            "and .gz may follow all but .parquet; to read files as items write "
            "file:///videos/*.mp4 or file:///anything/*?items=files"
        )
    module, kind = _FORMATS[suffix].split(":")
    return getattr(importlib.import_module(f".{module}", __package__), kind)(gzipped)


def in_batches(messages: Iterable[Message | UnreadableError]) -> Batches:
    """Groups messages into batches. An UnreadableError between them is yielded separately."""
    batch, room = list[Message](), BATCH_BYTES
    for message in messages:
        if isinstance(message, UnreadableError):
            yield message
            continue
        batch.append(message)
        room -= len(message.value or b"")
        if len(batch) >= _BATCH or room < 0:
            yield batch
            batch, room = [], BATCH_BYTES
    if batch:
        yield batch


@contextmanager
def gzip_errors(path: str) -> Iterator[None]:
    """Turns errors of a damaged gzip file into an UnreadableError."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableError(f"the file {path} is not a complete gzip file: {error}; write it again") from error
