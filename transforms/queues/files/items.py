"""Files as items: which files there are, not what is in them."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NoReturn

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.files import file_at, file_errors, files_in, find_files, has_wildcards, is_local
from ...base.message import Message
from ..queue import Split, Writer
from ..uri import QueueUri
from .format import is_format
from .paths import PathQueue

__all__ = ["FileItems", "are_items"]


class FileItems(PathQueue):
    """The files that a pattern matches, or that are in a folder, a message each.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.mp4").write_bytes(b"12345")
    >>> queue = FileItems(QueueUri.parse(f"{folder}/*.mp4"))
    >>> (message,) = next(queue.read(queue.splits()[0]))
    >>> sorted(message.json()), message.json()["size"]
    (['modified', 'path', 'size'], 5)

    The payload is JSON: the absolute path, the size in bytes, and the time of the last change in seconds since 1970.
    The path is the key, so that a file's items stay together; a changed file is another item, with another id.
    """

    holds_messages = False
    is_readonly = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        path = self._path
        self._path = files_in(str(Path(path).absolute()) if is_local(path) else path)

    def splits(self) -> list[Split]:
        """One per file."""
        with file_errors(self._path, "read"):
            found = find_files(self._path)
        if not found:
            raise QueueError(f"no file matches {self._path}; check the path, or leave this queue out of the run")
        # No bytes that are no UTF-8 could travel to a worker, nor be named there.
        return [Split(os.fsencode(file.path).decode("utf-8", "backslashreplace"), 0, 1) for file in found]

    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The file, as it is now."""
        path = split.partition
        with file_errors(path, "read"):
            file = file_at(path)
        if file is None:
            raise UnreadableError(
                f"the file {path} was listed and is not there; is it gone, or its name not valid UTF-8?", path.encode()
            )
        yield [Message(orjson.dumps(file._asdict()), path.encode(), timestamp=file.modified, source=(path, 0, 0))]

    def writer(self) -> Writer:
        """Files are not written as items."""
        self.check_writable()

    def check_writable(self) -> NoReturn:
        """Files are not written as items."""
        raise ValueError(f"can't write to {self}: its suffix names no format of messages; write for instance a .jsonl")


def are_items(uri: QueueUri) -> bool:
    """Whether a URI means files themselves: a pattern of a suffix without messages in it, or `?items=files`.

    >>> [are_items(QueueUri.parse(uri)) for uri in ("/v/*.mp4", "/v/*.csv", "file:///v/*.csv?items=files", "/v/*")]
    [True, False, True, False]
    """
    asked = uri.params.get("items")
    if asked not in (None, "files") or (uri.scheme == "file" and "://" not in uri.text and "?items=" in uri.text):
        raise ValueError(
            f"the queue {uri.text} should say items=files in a whole URI, such as file:///data/*.csv?items=files: "
            "each file is an item then"
        )
    suffix = PurePosixPath(PurePosixPath(uri.path).name.removesuffix(".gz")).suffix
    plain = bool(suffix) and not has_wildcards(suffix) and not is_format(suffix)
    return asked == "files" or (has_wildcards(uri.path) and plain)
