"""Files as items: a message names a file, and does not hold its content."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.files import file_at, file_errors, files_in, find_files, has_wildcards, is_local
from ...base.message import Message
from ..queue import Split
from ..uri import QueueUri
from .format import is_format
from .paths import PathQueue

__all__ = ["FileItems", "are_file_items"]


class FileItems(PathQueue):
    """A message for each file that matches a pattern or is in a folder.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.mp4").write_bytes(b"12345")
    >>> queue = FileItems(QueueUri.parse(f"{folder}/*.mp4"))
    >>> (message,) = next(queue.read(queue.splits()[0]))
    >>> sorted(message.json()), message.json()["size"]
    (['modified', 'path', 'size'], 5)

    The payload is JSON: the absolute path, the size in bytes, and the time of the last change in seconds since 1970.
    The path is the key, so that all items of a file go to one partition. A file that changes becomes a new item with
    a new id.
    """

    holds_messages = False
    is_readonly = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        path = self._path
        self._path = files_in(str(Path(path).absolute()) if is_local(path) else path)

    def splits(self) -> list[Split]:
        with file_errors(self._path, "read"):
            found = find_files(self._path)
        if not found:
            raise QueueError(f"no file matches {self._path}; check the path, or leave this queue out of the run")
        # A partition is text, so bytes of a name that are not UTF-8 are escaped; `read` then reports the file.
        return [Split(os.fsencode(file.path).decode("utf-8", "backslashreplace"), 0, 1) for file in found]

    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The file with its current size and time."""
        path = split.partition
        with file_errors(path, "read"):
            file = file_at(path)
        if file is None:
            raise UnreadableError(
                f"the file {path} was listed but can't be found: it was removed, or its name is not valid UTF-8",
                path.encode(),
            )
        yield [Message(orjson.dumps(file._asdict()), path.encode(), timestamp=file.modified, source=(path, 0, 0))]

    def check_writable(self) -> None:
        """Always raises: files can't be written as items."""
        raise ValueError(f"can't write to {self}: it names files as items; name a file of messages, such as out.jsonl")


def are_file_items(uri: QueueUri) -> bool:
    """Whether a URI means files as items: by `?items=files`, or by a pattern whose suffix is not a message format.

    >>> [are_file_items(QueueUri.parse(uri)) for uri in ("/v/*.mp4", "/v/*.csv", "file:///v/*.csv?items=files", "/v/*")]
    [True, False, True, False]
    """
    items = uri.params.get("items")
    if items not in (None, "files") or (uri.scheme == "file" and "://" not in uri.text and "?items=" in uri.text):
        raise ValueError(
            f"the queue {uri.text} must have items=files in a complete URI, such as file:///data/*.csv?items=files, "
            "to read each file as an item"
        )
    suffix = PurePosixPath(PurePosixPath(uri.path).name.removesuffix(".gz")).suffix
    is_other_suffix = bool(suffix) and not has_wildcards(suffix) and not is_format(suffix)
    return items == "files" or (has_wildcards(uri.path) and is_other_suffix)
