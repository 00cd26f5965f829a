"""What a format of files must offer, and how a path's suffix finds it."""

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

__all__ = ["BATCH_BYTES", "Format", "Read", "Records", "Spool", "batches", "format_of", "is_format", "readable"]

#: A batch ends at whichever comes first, so that memory stays bounded with large messages.
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
Read = Iterator[list[Message] | UnreadableError]


class Spool(ABC):
    """A file being written, a batch of records at a time; complete when closed."""

    @abstractmethod
    def write(self, records: Records) -> None:
        """Appends."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is still held back; the file beneath stays open."""


class Format(ABC):
    """How messages lie in the files of a format."""

    #: Whether what a Spool wrote is a file of this format already.
    spools_files = True
    #: Whether a DeadLetter keeps its fields.
    keeps_letters = True

    def __init__(self, zipped: bool) -> None:
        self.zipped = zipped

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """The parts of a file that can be read apart; none of an empty one."""
        return [(0, size)] if size else []

    def fitted(self, message: Message) -> Message:
        """The message as this format can hold it; a ValueError says why it can't."""
        return message

    @abstractmethod
    def read(self, split: Split) -> Read:
        """The messages of a part of a file."""

    @abstractmethod
    def spool(self, file: BinaryIO, record: type) -> Spool:
        """Writes Messages or DeadLetters into an open file."""

    @abstractmethod
    def merge(self, old: str | None, shards: Sequence[str], new: BinaryIO) -> None:
        """Writes one file of what was there and what was spooled."""

    def open(self, path: str) -> BinaryIO:
        """The file's bytes, unpacked."""
        file = open_file(path)
        return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if self.zipped else file

    def pack(self, file: BinaryIO) -> BinaryIO:
        """Packs what is written into an open file. No time is in it, so equal messages make equal files."""
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if self.zipped else file


def is_format(suffix: str) -> bool:
    """Whether files of this suffix hold messages."""
    return suffix.lower() in _FORMATS


def format_of(path: str) -> Format:
    """The format that a path's suffix names."""
    name = PurePosixPath(path).name.lower()
    zipped = name.endswith(".gz")
    suffix = PurePosixPath(name.removesuffix(".gz")).suffix
    if suffix == ".parquet" and zipped:
        raise ValueError(f"the file {path} would be packed twice, Parquet does so by itself; name it .parquet")
    if suffix not in _FORMATS:
        raise ValueError(
            f"the file {path} has no suffix that says its format; known are {', '.join(_FORMATS)}, "
            "all but .parquet also followed by .gz; for files that are items themselves write "
            "file:///videos/*.mp4 or file:///anything/*?items=files"
        )
    module, kind = _FORMATS[suffix].split(":")
    return getattr(importlib.import_module(f".{module}", __package__), kind)(zipped)


def batches(messages: Iterable[Message | UnreadableError]) -> Read:
    """Messages in batches; what is unreadable in between on its own."""
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
def readable(path: str) -> Iterator[None]:
    """A damaged gzip file is an UnreadableError."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableError(f"the file {path} is no complete gzip file: {error}; write it again") from error
