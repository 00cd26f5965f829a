"""What both video pipelines can be told."""

import importlib.util
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from beam_patterns.pipelines.parts.files.find import FilePattern
from beam_patterns.pipelines.runtime.options import Options, duration, option, queue, switch
from beam_patterns.pipelines.runtime.queues import check_queues

from .folders import OutputFolders

__all__ = ["VideoOptions"]


class VideoOptions(Options):
    """The options every video pipeline has."""

    videos: str = option(
        "The videos, a folder or a pattern, in quotes so that the shell leaves it alone; ** means all folders below.",
        example="'/videos/*.mp4'",
    )
    output: str = option("The folder for what is made of them; one folder in it per video.", example="/thumbnails")
    dead_letters: str = option(
        "The queue for what can't be played, with ffmpeg's reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )
    force: bool = option(
        "Make everything again, even if it is there, complete and made of the same file.",
        example="true",
        type=switch,
        default=False,
    )
    timeout: timedelta = option(
        "How long one piece of work may take: 90s, 15m, 2h; it is ended then, and tried again.",
        example="30m",
        type=duration,
        default=timedelta(minutes=30),
    )

    streams: ClassVar[bool] = False
    local: ClassVar[str] = "videos, and what is made of them, are in folders that all workers must see"

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        try:
            self.pattern  # noqa: B018 (a property that checks)
        except ValueError as error:
            raise ValueError(f"--videos: {error}") from None
        self.pattern.refuse_among(self.output, "videos")
        check_queues([], [("--dead_letters", queue(self.letters))], self.streaming)
        for module, package in {"av": "av", "PIL": "pillow"}.items():
            if importlib.util.find_spec(module) is None:
                raise ValueError(f"videos need the package {package}: pip install 'beam-patterns[video]'")

    @property
    def pattern(self) -> FilePattern:
        """Which files."""
        return FilePattern.of(self.videos)

    @property
    def folders(self) -> OutputFolders:
        """Where results go."""
        return OutputFolders(self.pattern.root, str(Path(self.output).absolute()))

    @property
    def letters(self) -> str:
        """The dead letters' URI."""
        return self.dead_letters or str(Path(self.output).absolute() / "dead_letters.jsonl")
