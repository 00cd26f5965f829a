"""The target of a run: temporary files beside it are published by renaming, so no reader sees a partial file."""

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

__all__ = ["OpenShard", "Shard", "Target", "remove", "truncate"]

#: A temporary file of this age belongs to a run that was killed: runs publish within hours of writing.
_STALE = 24 * 3600.0


@RecordCoder.register
class Shard(NamedTuple):
    """A complete temporary file."""

    path: str
    messages: int


class Target(NamedTuple):
    """A path to write: a run appends to `out.jsonl`, and creates new files for `out-*.jsonl`."""

    path: str
    uri: str

    @staticmethod
    def of(path: str, uri: str) -> "Target":
        """The target of a path. Checks the path without touching files."""
        folder, _, name = path.rpartition("/")
        if any(sign in name for sign in "?[") or name.count("*") > 1 or any(sign in folder for sign in "*?["):
            raise ValueError(f"can't write to {uri}: only one * is allowed, in the file's name, where it means the run")
        if "*" not in name and not is_local(path):
            stem, _, suffixes = path.rpartition("/")[2].partition(".")
            raise ValueError(
                f"can't append to {uri}: such a store has no locks, so two runs could overwrite each other's messages; "
                f"write new files with a * in the name, {folder}/{stem}-*.{suffixes}"
            )
        # A link is resolved, because a rename would replace it. The path is absolute, whatever a worker's folder is.
        return Target(str(Path(path).resolve()) if is_local(path) else path, uri)

    def prepare(self, *, make: bool) -> None:
        """Raises QueueError now if the target could not be written later. `make` creates the folder."""
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
        """Makes a run's messages visible. Returns temporary files to remove once the publication is durable."""
        paths = sorted(shard.path for shard in shards)
        with file_errors(self.path, "written"):
            self._remove_stale(run)
            if "*" in self.path and format_of(self.path).spools_files:
                return self._rename(paths)
            paths = [path for path in paths if not self._is_done(path)]
            if not paths or "*" not in self.path:
                return self._append(paths, run) if paths else []
            return self._merge(None, paths, self._final(paths[0]), run)

    def _rename(self, paths: Sequence[str]) -> list[str]:
        for path in paths:
            final = self._final(path)
            if not find_files(final):  # Otherwise this step is repeated, and this file was renamed before.
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
        """Whether a temporary file was truncated after its publication."""
        found = find_files(path)
        if not found:
            raise QueueError(
                f"the file {self.uri} can't be written: its temporary file {path} is missing; all workers must share "
                "the folder, and its files must not be removed during a run"
            )
        return not found[0].size

    @property
    def _folder(self) -> str:
        return self.path.rpartition("/")[0] or ("/" if self.path.startswith("/") else "")

    @property
    def _hidden(self) -> str:
        """Path prefix of temporary files and of the lock file."""
        folder, slash, name = self.path.rpartition("/")
        return f"{folder}{slash}.{name.replace('*', '+')}"

    def _final(self, temporary: str) -> str:
        """The final path, named after the temporary file: a repeated run with other parts must not overwrite files."""
        run, part, _ = temporary.rsplit(".", 3)[1:]
        return self.path.replace("*", f"{run}-{part}")

    def _temporary(self, run: str) -> str:
        return f"{self._hidden}.{run}.{uuid.uuid4().hex[:12]}.tmp"

    def _remove_stale(self, run: str) -> None:
        """Removes the temporary files of killed runs."""
        before = time.time() - _STALE
        left = find_files(f"{self._hidden}.*.tmp")
        remove([file.path for file in left if f".{run}." not in file.path and file.modified < before])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Allows one publication at a time. The lock is released when its process ends."""
        with Path(f"{self._hidden}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class OpenShard:
    """A temporary file that is open for writing."""

    def __init__(self, target: Target, path: str, record: type) -> None:
        self._target, self._path, self._messages = target, path, 0
        with file_errors(target.path, "written"):
            self._file = create_file(path)
            self._spool = format_of(target.path).spool(self._file, record)

    def write(self, records: Records) -> None:
        with file_errors(self._target.path, "written"):
            self._spool.write(records)
        self._messages += len(records)

    def close(self) -> Shard:
        with file_errors(self._target.path, "written"):
            self._spool.close()
            self._file.close()
            make_durable(self._path)
        return Shard(self._path, self._messages)

    def discard(self) -> None:
        """Removes the file, after its bundle has failed."""
        with suppress(OSError):
            self._spool.close()
        self._file.close()
        remove([self._path])


def truncate(paths: Sequence[str]) -> None:
    """Empties files but keeps their names, so that a repeated publication knows that they were published."""
    for path in paths:
        create_file(path).close()


def remove(paths: Sequence[str]) -> None:
    """Removes those of the files that still exist."""
    existing = [path for path in paths if find_files(path)]
    with suppress(BeamIOError):  # Another run may remove them first, and files that remain do no harm.
        FileSystems.delete(existing)
