"""Paths of file queues: finding and opening them, locally or through Beam's FileSystems, errors in one sentence."""

import errno
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from .queue import QueueError, QueueUri

__all__ = [
    "Found",
    "create",
    "explained",
    "find",
    "has_signs",
    "inside",
    "is_local",
    "is_pattern",
    "make_durable",
    "opened",
    "path_of",
    "seen",
]


class Found(NamedTuple):
    """A file and what was seen of it."""

    path: str
    size: int
    modified: float


def path_of(uri: QueueUri) -> str:
    """The path that a URI names, also for workers in another folder; a ValueError for what no file can have."""
    if "?group=" in uri.text or "group" in uri.params:
        raise ValueError(f"the queue {uri.text} is a file, which is always read whole; leave the group away")
    uri.only("items")
    if uri.text.startswith("file://") and not uri.path.startswith("/"):
        raise ValueError(f"the queue {uri.text} needs an absolute path with three slashes: file:///{uri.path}")
    if uri.path.startswith("/") or not is_local(uri.path):
        return uri.path
    here = str(Path.cwd())
    return uri.path if has_signs(here) else f"{here}/{uri.path.removeprefix('./')}"  # With signs it were a pattern.


def is_local(path: str) -> bool:
    """Whether the operating system knows the path."""
    return "://" not in path


def is_pattern(path: str) -> bool:
    """Whether a path stands for several files. A file that is called so is meant itself."""
    return has_signs(path) and not (is_local(path) and Path(path).exists())


def has_signs(text: str) -> bool:
    """Whether signs of a pattern are in it."""
    return any(sign in text for sign in "*?[")


def inside(path: str) -> str:
    """A folder stands for the files in it: /videos is /videos/*."""
    is_folder = path.endswith("/") or (is_local(path) and Path(path).is_dir())
    return f"{path.rstrip('/')}/*" if is_folder else path


def find(pattern: str) -> list[Found]:
    """The files a path or pattern stands for, sorted; as in a shell, hidden ones only if asked for."""
    if not is_local(pattern):
        found = FileSystems.match([pattern])[0].metadata_list
        return sorted(Found(f.path, f.size_in_bytes, f.last_updated_in_seconds) for f in found)
    if not is_pattern(pattern) and Path(pattern).is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", pattern)
    # Not Beam's local match, which walks through all folders below.
    names = glob.glob(pattern, recursive=True) if is_pattern(pattern) else [pattern]  # noqa: PTH207 (keeps the spelling)
    return [found for name in sorted(names) if (found := seen(name))]


def seen(name: str) -> Found | None:
    """A file by its very name, if it is there."""
    if not is_local(name):
        return next(iter(find(name)), None)
    try:
        said = Path(name).stat()
    except FileNotFoundError:  # Gone since it was listed.
        return None
    return None if stat.S_ISDIR(said.st_mode) else Found(name, said.st_size, said.st_mtime)


def opened(path: str) -> BinaryIO:
    """A file for reading, its bytes as they are."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def create(path: str) -> BinaryIO:
    """A new file, its folder included."""
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def make_durable(path: str) -> None:
    """A local file's bytes, or a local folder's names, survive a power cut from here on."""
    if is_local(path):
        handle = os.open(path or ".", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def explained(path: str, done: str) -> Iterator[None]:
    """Errors of the file system become a QueueError: `explained("/data/a.jsonl", "read")`."""
    try:
        yield
    except FileNotFoundError as error:
        raise QueueError(f"the file {path} can't be {done}: there is no {error.filename}; check the path") from error
    except PermissionError as error:
        where = error.filename or path
        raise QueueError(
            f"the file {path} can't be {done}: this user (uid {os.geteuid()}) has no permission for {where}; "
            "change its mode or owner, or name another path"
        ) from error
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        what = "is a folder" if isinstance(error, IsADirectoryError) else "is no folder"
        raise QueueError(f"the file {path} can't be {done}: {error.filename} {what}; name another path") from error
    except (BeamIOError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise QueueError(f"the file {path} can't be {done}: {said}") from error
    except ValueError as error:
        if "Unable to get filesystem" not in str(error):
            raise
        raise QueueError(
            f"the file {path} can't be {done}: Beam's support for {path.partition(':')[0]}:// is not installed; "
            "install it with `pip install beam-patterns[dataflow]`"
        ) from error
