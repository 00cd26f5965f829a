"""Folders for the results of videos."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["OutputFolders", "replaced_folder"]


class OutputFolders(NamedTuple):
    """A folder with a folder for each video, whose name is the video's path below `root`."""

    root: str
    output: str

    def name(self, video: str) -> str:
        """The video's name for people.

        >>> OutputFolders("/videos", "/out").name("/videos/2026/a.mp4")
        '2026/a.mp4'
        """
        return Path(video).relative_to(self.root).as_posix()

    def folder(self, video: str) -> Path:
        """The folder for the results of a video."""
        return Path(self.output, self.name(video))


@contextmanager
def replaced_folder(final: Path) -> Iterator[Path]:
    """Yields a folder to fill, which replaces `final` when it is complete.

    If the run is killed meanwhile, the old folder stays, or there is none.
    """
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
