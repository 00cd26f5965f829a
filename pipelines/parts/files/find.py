"""Files as work items: their names, not their contents."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_patterns.transforms.extend import files_in, find_files, has_wildcards
from beam_patterns.transforms.queues import QueueError

__all__ = ["FilePattern", "FindFiles"]


class FilePattern(str):
    """Files to read: a path such as /videos/*.mp4 or /videos/**/*.mov, or a folder, for every file in it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The absolute pattern; raises ValueError for a text that isn't one."""
        path = text.removeprefix("file://")
        if not path or "://" in path:
            raise ValueError(f"{text!r} is not a path on this machine; name files that all workers can read")
        return cls(files_in(str(Path(path).absolute())))

    @property
    def root(self) -> str:
        """The folder that contains all of the files."""
        parts = Path(self).parts
        wildcards = [number for number, part in enumerate(parts) if has_wildcards(part)]
        return str(Path(*parts[: wildcards[0] if wildcards and not Path(self).exists() else len(parts) - 1]))

    def paths(self) -> list[str]:
        """The files that exist now."""
        return [file.path for file in find_files(str(self))]

    def checked(self, paths: Iterable[str], option: str) -> list[str]:
        """The paths, sorted; raises a QueueError that names the option if there are none."""
        found = sorted(paths)
        if not found:
            raise QueueError(f"--{option}: no file matches {self}; check the path")
        return found

    def check_apart_from(self, output: str, what: str) -> None:
        """Raises ValueError if the folder of the results is, or contains, a folder of the files."""
        if "://" in output:
            raise ValueError(f"--output: {output!r} is not a folder on this machine; name a local folder")
        root, folder = Path(self.root), Path(output).absolute()
        if folder == root or ("**" in self and root in folder.parents):
            raise ValueError(f"--output: results in {output} would overwrite the {what}; name another folder")


class FindFiles(beam.PTransform):
    """The paths of the files that exist when the run starts.

    In: the pipeline.
    Out: PCollection[str].
    Failure: without any file the run fails with a QueueError that names the option to check.
    """

    def __init__(self, pattern: FilePattern, option: str) -> None:
        super().__init__()
        self._pattern, self._option = pattern, option

    def expand(self, begin: Any) -> PCollection:
        """One element per file."""
        find_all = beam.FlatMap(_found, self._pattern, self._option).with_output_types(str)
        return begin | "Start" >> beam.Impulse() | "List" >> find_all


def _found(unused: bytes, pattern: FilePattern, option: str) -> Iterator[str]:
    yield from pattern.checked(pattern.paths(), option)
