"""The work items of the video pipelines: files by name, not by content."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_patterns.transforms.queues import QueueError
from beam_patterns.transforms.queues.file_paths import find, has_signs, inside

__all__ = ["FindVideos", "VideoPattern"]


class VideoPattern(str):
    """Which files: a path such as /videos/*.mp4 or /videos/**/*.mov, or a folder, for every file in it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The pattern, absolute; a ValueError if it can't be one."""
        path = text.removeprefix("file://")
        if not path or "://" in path:
            raise ValueError(f"{text!r} names no files of this machine, which ffmpeg could read")
        return cls(inside(str(Path(path).absolute())))

    @property
    def root(self) -> str:
        """The folder in which all of them are."""
        parts = Path(self).parts
        signs = [number for number, part in enumerate(parts) if has_signs(part)]
        return str(Path(*parts[: signs[0] if signs and not Path(self).exists() else len(parts) - 1]))


class FindVideos(beam.PTransform):
    """The paths of the files there are when the run starts.

    In: the pipeline.
    Out: PCollection[str].
    Failure: no file at all fails the run with a QueueError.
    """

    def __init__(self, pattern: VideoPattern) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, begin: Any) -> PCollection:
        """One element per file."""
        find_all = beam.FlatMap(_found, str(self._pattern)).with_output_types(str)
        return begin | "Start" >> beam.Impulse() | "List" >> find_all


def _found(unused: bytes, pattern: str) -> Iterator[str]:
    files = find(pattern)
    if not files:
        raise QueueError(f"there is no file {pattern}; check --videos")
    yield from (file.path for file in files)
