"""Thumbnails of videos: frames spread over the length, a contact sheet, an animated preview, and a gallery of all.

```
/videos/*.mp4 --> Find --> WorkQueue(thumbnails) --> /thumbnails/holiday.mp4/frame-01.jpg ...
                               |                                             sheet.jpg, preview.webp
                               |                     /thumbnails/index.html
                               +--> dead letters: videos that ffmpeg can't play, with the reason
```

    python pipelines/video_thumbnails.py --videos '/videos/*.mp4' --output /thumbnails --frames 12 --size 320

Videos with complete thumbnails are skipped: a run after a killed one continues its work, and a run every night works on
new videos only. Thumbnails are made again when the settings or the video change, and with --force.
Needs `pip install 'beam-patterns[video]'`.

Source: Burns, Designing Distributed Systems, chapter 10, hands-on: implementing a video thumbnailer.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Iterable, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Places, launch, option
from beam_patterns.pipelines.parts.files.find import FindFiles
from beam_patterns.pipelines.parts.files.gallery import PAGE
from beam_patterns.pipelines.parts.video.gallery import write_video_gallery
from beam_patterns.pipelines.parts.video.options import VideoOptions
from beam_patterns.pipelines.parts.video.thumbnails import Thumbnailer
from beam_patterns.transforms import DeadLetter, DeadLetters, WorkQueue
from beam_patterns.transforms.queues import WriteToQueue

_MAX_FRAMES, _MIN_SIZE = 500, 16


class VideoThumbnailsOptions(VideoOptions):
    """Thumbnails of videos: frames, a contact sheet, an animated preview of each, and a gallery of all."""

    frames: int = option("Number of frames per video.", example="12", type=int, default=12)
    size: int = option("Longer side of a frame in pixels; never enlarged.", example="320", type=int, default=320)

    def check(self) -> None:
        """Raises ValueError for values that can't work, before anything starts."""
        super().check()
        if not 1 <= self.frames <= _MAX_FRAMES:
            raise ValueError(f"--frames: {self.frames} is not between 1 and {_MAX_FRAMES}")
        if self.size < _MIN_SIZE:
            raise ValueError(f"--size: {self.size} pixels show nothing; give {_MIN_SIZE} or more")


def video_thumbnails(
    videos: PCollection, thumbnailer: Thumbnailer, *, dead: ErrorHandler, timeout: float, force: bool
) -> PCollection:
    """The flow from paths of videos to paths of folders."""
    work = WorkQueue(thumbnailer, timeout=timeout).with_done_check(thumbnailer.is_done, force=force)
    return videos | "Thumbnails" >> work.with_error_handler(dead)


def build(p: beam.Pipeline, o: VideoThumbnailsOptions) -> Places:
    """Builds the flow between the folders that the options name; returns where its results are."""
    thumbnailer = Thumbnailer(o.folders, o.frames, o.size)
    with ErrorHandler("DeadLetters" >> DeadLetters()) as dead:
        videos = p | "Find" >> FindFiles(o.pattern, "videos")
        made = video_thumbnails(videos, thumbnailer, dead=dead, timeout=o.timeout.total_seconds(), force=o.force)
    letters = dead.output()
    letters | "Park" >> WriteToQueue(o.letters)
    page = p | "Output" >> beam.Create([o.folders.output], reshuffle=False)
    page | "Gallery" >> beam.Map(_gallery, AsIter(made), AsIter(letters)).with_output_types(str)
    return {"gallery": str(Path(o.output, PAGE)), "dead letters": o.letters}


def _gallery(output: str, unused_made: Iterable[str], failed: Iterable[DeadLetter]) -> str:
    """Waits for all thumbnails; the page includes those of earlier runs."""
    return write_video_gallery(output, failed)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with a command line; returns the exit code, with the balance."""
    return launch(VideoThumbnailsOptions, build, argv)
