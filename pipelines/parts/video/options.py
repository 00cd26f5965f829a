"""Options of both video pipelines."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from beam_patterns.pipelines import duration, option, switch
from beam_patterns.pipelines.parts.files.options import FileOptions

from .folders import OutputFolders

__all__ = ["VideoOptions"]


class VideoOptions(FileOptions):
    """Options of every video pipeline."""

    videos: str = option(
        "Videos to read: a folder or a pattern, quoted to keep the shell from expanding it; ** includes subfolders.",
        example="'/videos/*.mp4'",
    )
    output: str = option("Folder for the results, with a folder per video.", example="/thumbnails")
    dead_letters: str = option(
        "Queue for videos that can't be played, with ffmpeg's reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )
    force: bool = option(
        "Make all results again, even those that are complete and made of the same file.",
        example="true",
        type=switch,
        default=False,
    )
    timeout: timedelta = option(
        "Time limit for each work item, such as 90s, 15m or 2h; the work is stopped then, and tried again.",
        example="30m",
        type=duration,
        default=timedelta(minutes=30),
    )

    files: ClassVar[str] = "videos"
    packages: ClassVar[Mapping[str, str]] = {"av": "av", "PIL": "pillow"}
    extra: ClassVar[str] = "video"
    local: ClassVar[str] = "videos and results are in folders that all workers must be able to access"

    @property
    def folders(self) -> OutputFolders:
        """The folders for the results."""
        return OutputFolders(self.pattern.root, str(Path(self.output).absolute()))
