"""The work items of pipelines over files: files by name, not by content."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_patterns.transforms.extend import files_in, find_files, has_wildcards
from beam_patterns.transforms.queues import QueueError

__all__ = ["FilePattern", "FindFiles"]


class FilePattern(str):
    """Which files: a path such as /videos/*.mp4 or /videos/**/*.mov, or a folder, for every file in it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The pattern, absolute; a ValueError if it can't be one."""
        path = text.removeprefix("file://")
        if not path or "://" in path:
            raise ValueError(f"{text!r} names no files of this machine, which workers could read")
        return cls(files_in(str(Path(path).absolute())))

    @property
    def root(self) -> str:
        """The folder in which all of them are."""
        parts = Path(self).parts
        signs = [number for number, part in enumerate(parts) if has_wildcards(part)]
        return str(Path(*parts[: signs[0] if signs and not Path(self).exists() else len(parts) - 1]))

    def paths(self) -> list[str]:
        """The files there are now."""
        return [file.path for file in find_files(str(self))]

    def refuse_among(self, output: str, what: str) -> None:
        """Raises a ValueError if what is made of the files would lie among them."""
        if "://" in output:
            raise ValueError(f"--output: {output} is no folder of this machine")
        root, folder = Path(self.root), Path(output).absolute()
        if folder == root or ("**" in self and root in folder.parents):
            raise ValueError(f"--output: {output} is among the {what}, which would be overwritten; take another folder")


class FindFiles(beam.PTransform):
    """The paths of the files there are when the run starts.

    In: the pipeline.
    Out: PCollection[str].
    Failure: no file at all fails the run with a QueueError that names the option to check.
    """

    def __init__(self, pattern: FilePattern, option: str) -> None:
        super().__init__()
        self._pattern, self._option = pattern, option

    def expand(self, begin: Any) -> PCollection:
        """One element per file."""
        find_all = beam.FlatMap(_found, self._pattern, self._option).with_output_types(str)
        return begin | "Start" >> beam.Impulse() | "List" >> find_all


def _found(unused: bytes, pattern: FilePattern, option: str) -> Iterator[str]:
    paths = pattern.paths()
    if not paths:
        raise QueueError(f"there is no file {pattern}; check --{option}")
    yield from paths
