"""Where a run's files go: temporary files beside the target, published by rename; no partial file is ever seen."""

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from ...base.coders import RecordCoder
from ...base.errors import QueueError
from ...base.files import create_file, file_errors, find_files, is_local, make_durable
from .format import Records, format_of

__all__ = ["OpenShard", "Shard", "Target", "empty", "remove"]

#: A temporary file this old belongs to a run that was killed: a run publishes hours, not days, after it wrote.
_STALE = 24 * 3600.0


@RecordCoder.register
class Shard(NamedTuple):
    """A complete temporary file."""

    path: str
    messages: int


class Target(NamedTuple):
    """A path to write to: `out.jsonl` is appended to, `out-*.jsonl` gets new files in every run."""

    path: str
    uri: str

    @staticmethod
    def of(path: str, uri: str) -> "Target":
        """Checks the path; touches nothing."""
        folder, _, name = path.rpartition("/")
        if any(sign in name for sign in "?[") or name.count("*") > 1 or any(sign in folder for sign in "*?["):
            raise ValueError(f"can't write to {uri}: one * in the file's name may stand for a run, nothing else")
        if "*" not in name and not is_local(path):
            stem, _, suffixes = path.rpartition("/")[2].partition(".")
            raise ValueError(
                f"can't append to {uri}: such a store has no locks, so that two runs could lose each other's messages; "
                f"write new files with a * in the name, {folder}/{stem}-*.{suffixes}"
            )
        # Through a link to what it names: a rename would replace the link. And absolute, whatever a worker's folder is.
        return Target(str(Path(path).resolve()) if is_local(path) else path, uri)

    def prepare(self, *, make: bool) -> None:
        """Says now what could not be written later; `make`s the folder."""
        if not is_local(self.path):
            return
        with file_errors(self.path, "written"):
            folder = Path(self.path).parent
            if make:
                folder.mkdir(parents=True, exist_ok=True)
            while not folder.exists():
                folder = folder.parent
            if not folder.is_dir():
                raise NotADirectoryError(0, "", str(folder))
            if Path(self.path).is_dir():
                raise IsADirectoryError(0, "", self.path)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(0, "", str(folder))

    def shard(self, run: str, record: type) -> "OpenShard":
        """A new temporary file of this run."""
        return OpenShard(self, self._temporary(run), record)

    def publish(self, shards: Sequence[Shard], run: str) -> list[str]:
        """Makes a run's messages visible; the temporary files that may go when this is known to have happened."""
        paths = sorted(shard.path for shard in shards)
        with file_errors(self.path, "written"):
            self._tidy(run)
            if "*" in self.path and format_of(self.path).spools_files:
                return self._rename(paths)
            paths = [path for path in paths if not self._is_done(path)]
            if not paths or "*" not in self.path:
                return self._append(paths, run) if paths else []
            return self._merge(None, paths, self._final(paths[0]), run)

    def _rename(self, paths: Sequence[str]) -> list[str]:
        for path in paths:
            final = self._final(path)
            if not find_files(final):  # Else this step is repeated, and here it was done.
                self._is_done(path)
                FileSystems.rename([path], [final])
        make_durable(self._folder)
        return []

    def _append(self, paths: Sequence[str], run: str) -> list[str]:
        with self._locked():
            old = self.path if find_files(self.path) and find_files(self.path)[0].size else None
            return self._merge(old, paths, self.path, run)

    def _merge(self, old: str | None, paths: Sequence[str], final: str, run: str) -> list[str]:
        new = self._temporary(run)
        try:
            with create_file(new) as file:
                format_of(self.path).merge(old, paths, file)
            if old:
                shutil.copymode(old, new)
            make_durable(new)
            FileSystems.rename([new], [final])
        except BaseException:
            remove([new])
            raise
        make_durable(self._folder)
        return list(paths)

    def _is_done(self, path: str) -> bool:
        """Whether a temporary file was emptied after its publication."""
        found = find_files(path)
        if not found:
            raise QueueError(
                f"the file {self.uri} can't be written: its temporary file {path} is gone; all workers must see one "
                "folder, and nobody may remove files from it while a run goes on"
            )
        return not found[0].size

    @property
    def _folder(self) -> str:
        return self.path.rpartition("/")[0] or ("/" if self.path.startswith("/") else "")

    @property
    def _hidden(self) -> str:
        """How the names of our helper files begin."""
        folder, slash, name = self.path.rpartition("/")
        return f"{folder}{slash}.{name.replace('*', '+')}"

    def _final(self, temporary: str) -> str:
        """Named after its first part not by counting: a repetition may have other parts, and must overwrite none."""
        run, part, _ = temporary.rsplit(".", 3)[1:]
        return self.path.replace("*", f"{run}-{part}")

    def _temporary(self, run: str) -> str:
        return f"{self._hidden}.{run}.{uuid.uuid4().hex[:12]}.tmp"

    def _tidy(self, run: str) -> None:
        """Removes what killed runs have left."""
        before = time.time() - _STALE
        left = find_files(f"{self._hidden}.*.tmp")
        remove([file.path for file in left if f".{run}." not in file.path and file.modified < before])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One publication at a time; the lock ends with its process."""
        with Path(f"{self._hidden}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class OpenShard:
    """A temporary file being written."""

    def __init__(self, target: Target, path: str, record: type) -> None:
        self._target, self._path, self._messages = target, path, 0
        with file_errors(target.path, "written"):
            self._file = create_file(path)
            self._spool = format_of(target.path).spool(self._file, record)

    def write(self, records: Records) -> None:
        """Appends."""
        with file_errors(self._target.path, "written"):
            self._spool.write(records)
        self._messages += len(records)

    def close(self) -> Shard:
        """Makes it durable."""
        with file_errors(self._target.path, "written"):
            self._spool.close()
            self._file.close()
            make_durable(self._path)
        return Shard(self._path, self._messages)

    def discard(self) -> None:
        """Of a bundle that failed."""
        with suppress(OSError):
            self._spool.close()
        self._file.close()
        remove([self._path])


def empty(paths: Sequence[str]) -> None:
    """Leaves their names: a repetition of their publication sees that it was done."""
    for path in paths:
        create_file(path).close()


def remove(paths: Sequence[str]) -> None:
    """Removes those that are still there."""
    there = [path for path in paths if find_files(path)]
    with suppress(BeamIOError):  # Another run that tidies up may be faster; what stays does no harm.
        FileSystems.delete(there)
