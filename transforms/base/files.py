"""Finds, opens and replaces local files and those of Beam's FileSystems, with errors of one sentence."""

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

from .errors import QueueError

__all__ = [
    "FoundFile",
    "create_file",
    "file_at",
    "file_errors",
    "files_in",
    "find_files",
    "has_wildcards",
    "is_local",
    "is_partial",
    "is_pattern",
    "make_durable",
    "open_file",
    "replaced_file",
]


class FoundFile(NamedTuple):
    """A file with its size in bytes and its modification time in seconds since 1970."""

    path: str
    size: int
    modified: float


def is_local(path: str) -> bool:
    """Whether a path is local, not in a store such as gs://."""
    return "://" not in path


def is_pattern(path: str) -> bool:
    """Whether a path is a pattern for several files. The name of an existing file is never a pattern."""
    return has_wildcards(path) and not (is_local(path) and Path(path).exists())


def has_wildcards(text: str) -> bool:
    """Whether a text contains a wildcard."""
    return any(wildcard in text for wildcard in "*?[")


def files_in(path: str) -> str:
    """The pattern for the files in a folder, /videos/* for /videos. Any other path is returned unchanged."""
    is_folder = path.endswith("/") or (is_local(path) and Path(path).is_dir())
    return f"{path.rstrip('/')}/*" if is_folder else path


def find_files(pattern: str) -> list[FoundFile]:
    """The files that match a path or pattern, sorted. Hidden files match only if the pattern names them."""
    if not is_local(pattern):
        found = FileSystems.match([pattern])[0].metadata_list
        return sorted(FoundFile(f.path, f.size_in_bytes, f.last_updated_in_seconds) for f in found)
    if not is_pattern(pattern) and Path(pattern).is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", pattern)
    # Not Beam's local match, which searches all subfolders.
    names = glob.glob(pattern, recursive=True) if is_pattern(pattern) else [pattern]  # noqa: PTH207 (keeps the spelling)
    return [found for name in sorted(names) if (found := file_at(name))]


def file_at(name: str) -> FoundFile | None:
    """The file with exactly this name; None if it does not exist."""
    if not is_local(name):
        return next(iter(find_files(name)), None)
    try:
        status = Path(name).stat()
    except FileNotFoundError:  # It was deleted after it was listed.
        return None
    return None if stat.S_ISDIR(status.st_mode) else FoundFile(name, status.st_size, status.st_mtime)


def open_file(path: str) -> BinaryIO:
    """Opens a file for reading, without decompression."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def create_file(path: str) -> BinaryIO:
    """Opens a new file for writing, and creates its folder."""
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def make_durable(path: str) -> None:
    """Makes sure that a local file, or the names in a local folder, survive a power cut."""
    if is_local(path):
        handle = os.open(path or ".", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """Yields a temporary path that replaces `final` at the end of the block, so that no reader sees a partial file.

    The temporary path depends only on `final`, so a new attempt overwrites the file of a killed one. It has the same
    suffix, because programs derive the format from it.
    """
    partial = final.with_name(f".{final.stem}.partial{final.suffix}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is a temporary file of `replaced_file`, which a killed run has left."""
    return path.name.startswith(".") and path.stem.endswith(".partial")


@contextmanager
def file_errors(path: str, action: str) -> Iterator[None]:
    """Turns errors of the file system into a QueueError: `with file_errors("/data/a.jsonl", "read"): ...`."""
    try:
        yield
    except FileNotFoundError as error:
        raise QueueError(
            f"the file {path} can't be {action}: {error.filename} does not exist; check the path"
        ) from error
    except PermissionError as error:
        where = error.filename or path
        raise QueueError(
            f"the file {path} can't be {action}: this user (uid {os.geteuid()}) has no permission for {where}; "
            "change its mode or owner, or name another path"
        ) from error
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        what = "is a folder" if isinstance(error, IsADirectoryError) else "is not a folder"
        raise QueueError(f"the file {path} can't be {action}: {error.filename} {what}; name another path") from error
    except (BeamIOError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise QueueError(f"the file {path} can't be {action}: {reason}") from error
    except ValueError as error:
        if "Unable to get filesystem" not in str(error):
            raise
        raise QueueError(
            f"the file {path} can't be {action}: Beam's support for {path.partition(':')[0]}:// is not installed; "
            "install it with `pip install beam-patterns[dataflow]`"
        ) from error
