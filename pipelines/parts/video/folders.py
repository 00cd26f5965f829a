"""Folders for the results of videos."""

from pathlib import Path
from typing import NamedTuple

__all__ = ["OutputFolders"]


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
