"""Where what is made of a video lies, and how it gets there whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["OutputFolders", "Stamp", "replaced_file", "replaced_folder"]


class Stamp(NamedTuple):
    """What tells a video from one that was put in its place."""

    bytes: int
    modified_ns: int

    @staticmethod
    def of(video: str) -> "Stamp":
        """The video as it is now."""
        stat = Path(video).stat()
        return Stamp(stat.st_size, stat.st_mtime_ns)


class OutputFolders(NamedTuple):
    """A folder with a folder for each video, called as the video is below `root`."""

    root: str
    output: str

    def name(self, video: str) -> str:
        """The video's name for people.

        >>> OutputFolders("/videos", "/out").name("/videos/2026/a.mp4")
        '2026/a.mp4'
        """
        return Path(video).relative_to(self.root).as_posix()

    def folder(self, video: str) -> Path:
        """What is made of the video goes here."""
        return Path(self.output, self.name(video))


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """A file to write that takes its place when it is complete.

    It has always the same name, so that what a killed attempt left is overwritten.
    """
    partial = final.with_name(f".{final.stem}.partial{final.suffix}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, final)  # noqa: PTH105 (Path.replace says the same)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replaced_folder(final: Path) -> Iterator[Path]:
    """A folder to fill that takes its place when it is complete; a kill in between leaves the old one, or none."""
    partial, old = (final.with_name(f".{final.name}.{state}") for state in ("partial", "old"))
    _remove(partial, old)
    partial.mkdir(parents=True)
    try:
        yield partial
        if final.exists():
            final.rename(old)
        partial.rename(final)
    finally:
        _remove(partial, old)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
