"""Where what is made of a video lies."""

from pathlib import Path
from typing import NamedTuple

__all__ = ["OutputFolders", "Stamp"]


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
