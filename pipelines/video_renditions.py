"""Renditions of videos: for large screens, for small screens, for phones, and as an animated thumbnail.

```
                                         +--> Filter --> WorkQueue --> 2160p.mp4  --+
/videos/*.mp4 --> WorkQueue --> Copier --+--> Filter --> WorkQueue --> 1080p.mp4  --+--> manifest.json
                   (probe)               +-------------> WorkQueue --> mobile.mp4 --+
                      |                  +-------------> WorkQueue --> thumbnail.webp
                      +--> dead letters: videos that ffmpeg can't play, with the reason
```

    python pipelines/video_renditions.py --videos '/videos/*.mp4' --output /renditions

Videos are never enlarged: a size that would show no more than the next smaller one is left out (by the Filters), and
the manifest says so. Audio is kept: AAC as it is, other codecs as AAC. A video gets its manifest when all its
renditions exist. Complete results of the same file are skipped, so a run after a killed one continues its work; --force
makes everything again. Needs `pip install 'beam-patterns[video]'`.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-2 (the copier pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.util import WaitOn

from beam_patterns.pipelines import Ended, Places, launch
from beam_patterns.pipelines.parts.files.find import FindFiles
from beam_patterns.pipelines.parts.video.folders import OutputFolders
from beam_patterns.pipelines.parts.video.options import VideoOptions
from beam_patterns.pipelines.parts.video.renditions import FHD, MOBILE, UHD, Rendition
from beam_patterns.pipelines.parts.video.workers import THUMBNAIL, ManifestWriter, Probe, Renderer, Thumbnail
from beam_patterns.transforms import Copier, DeadLetters, Filter, WorkQueue
from beam_patterns.transforms.queues import Message, WriteToQueue


class VideoRenditionsOptions(VideoOptions):
    """Renditions of videos: 2160p, 1080p, mobile and an animated thumbnail of each, with a manifest."""


def video_renditions(
    videos: PCollection, folders: OutputFolders, *, dead: ErrorHandler, timeout: float, force: bool
) -> PCollection:
    """The flow from paths of videos to paths of manifests."""

    def rendered(result: Rendition | Thumbnail) -> beam.PTransform:
        work = Renderer(folders, result)
        return WorkQueue(work, timeout=timeout).with_done_check(work.is_done, force=force).with_error_handler(dead)

    def needing(rendition: Rendition) -> beam.PTransform:
        return Filter(rendition.is_needed).with_view(Message.json).with_error_handler(dead)

    probed = videos | "Probe" >> WorkQueue(Probe(folders), timeout=timeout).with_error_handler(dead)
    copies = probed | "Copy" >> Copier("uhd", "fhd", "mobile", "thumbnail")
    made = (
        copies.uhd | "Above 1080p" >> needing(UHD) | "2160p" >> rendered(UHD),
        copies.fhd | "Above mobile" >> needing(FHD) | "1080p" >> rendered(FHD),
        copies.mobile | "Mobile" >> rendered(MOBILE),
        copies.thumbnail | "Thumbnail" >> rendered(THUMBNAIL),
    )
    complete = probed | "All made" >> WaitOn(*made)
    return complete | "Manifest" >> beam.FlatMap(ManifestWriter(folders)).with_output_types(str)


def build(p: beam.Pipeline, o: VideoRenditionsOptions) -> Places:
    """Builds the flow between the folders that the options name; returns where its results are."""
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.letters))) as dead:
        videos = p | "Find" >> FindFiles(o.pattern, "videos")
        video_renditions(videos, o.folders, dead=dead, timeout=o.timeout.total_seconds(), force=o.force)
    return {"renditions": o.folders.output, "dead letters": o.letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with a command line; returns the exit code, with the balance."""
    return launch(VideoRenditionsOptions, build, argv)
