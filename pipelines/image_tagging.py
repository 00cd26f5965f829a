"""Images of traffic: number plates are made unreadable, then vehicles are counted by type and colour.

```
/images/*.jpg --> Find --> Splitter --> Sharder --> WorkQueue(MultiWorker: plates, blur) x n --+
                               |                        |                                      +--> Join --> Copier
                               +--> blurred before -----|--------------------------------------+             |   |
                                                        +--> dead letters: files that are not images         |   |
                                          --delete_originals: WorkQueue(delete) <----------------------------+   |
                                                                                                                 v
summary.json, index.html <-- Reduce <-- WorkQueue(MultiWorker: vehicles, colors, tags) x n <-- Sharder <---------+
```

    python pipelines/image_tagging.py --images '/images/*.jpg' --output /traffic --delete_originals

Blurred copies are in OUTPUT/blurred, under the names of the originals, and contain nothing but the pixels. An original
is deleted when all images of the run are blurred (the Join), and only if its copy is complete; originals that could not
be blurred stay. All images with a copy are counted, also those whose originals earlier runs deleted: run a killed run
again to get the same totals. Vehicles and plates are found by measurements that fit the images of examples/traffic.py;
for other images, put a model into pipelines/parts/images/. Needs `pip install 'beam-patterns[images]'`.

Source: Burns, Designing Distributed Systems, chapter 13 (coordinated batch processing), hands-on: an image tagging and
processing pipeline.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsIter, PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Places, launch, option, switch
from beam_patterns.pipelines.parts.files.find import FilePattern
from beam_patterns.pipelines.parts.files.gallery import PAGE
from beam_patterns.pipelines.parts.files.options import FileOptions
from beam_patterns.pipelines.parts.images.album import Album
from beam_patterns.pipelines.parts.images.summary import SUMMARY, Totals, merged, totals_of, write_summary
from beam_patterns.pipelines.parts.images.work import Deleter, Tags, blurrer, tagger
from beam_patterns.transforms import (
    Copier,
    DeadLetter,
    DeadLetters,
    Join,
    Merger,
    Reduce,
    Sharder,
    Splitter,
    WorkQueue,
)
from beam_patterns.transforms.queues import WriteToQueue

_ALL = "all"
_NONE: dict[str, dict[str, int]] = {"vehicles": {}, "colors": {}}
_MAX_SHARDS = 64


class ImageTaggingOptions(FileOptions):
    """Images of traffic: plates are blurred, originals optionally deleted, vehicles counted by type and colour."""

    images: str = option(
        "Images to read: a folder or a pattern, quoted to keep the shell from expanding it; ** includes subfolders.",
        example="'/images/*.jpg'",
    )
    output: str = option("Folder for blurred copies, summary.json and index.html.", example="/traffic")
    delete_originals: bool = option(
        "Delete the originals when all images of the run are blurred; those that could not be blurred stay.",
        example="true",
        type=switch,
        default=False,
    )
    shards: int = option("Number of work queues that share the images.", example="4", type=int, default=2)
    dead_letters: str = option(
        "Queue for files that are not images, with the reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )

    files: ClassVar[str] = "images"
    packages: ClassVar[Mapping[str, str]] = {"PIL": "pillow"}
    extra: ClassVar[str] = "images"
    local: ClassVar[str] = "images and their blurred copies are in folders that all workers must be able to access"

    def check(self) -> None:
        """Raises ValueError for values that can't work, before anything starts."""
        super().check()
        if not 1 <= self.shards <= _MAX_SHARDS:
            raise ValueError(f"--shards: {self.shards} is not between 1 and {_MAX_SHARDS}")

    @property
    def album(self) -> Album:
        """The originals and their copies."""
        return Album(self.pattern.root, str(Path(self.output).absolute()))


class Tagged(NamedTuple):
    """The tags of each image, and pairs ("all", totals)."""

    images: PCollection
    totals: PCollection


def image_tagging(
    images: PCollection, album: Album, *, dead: ErrorHandler, shards: int = 2, delete: bool = False
) -> Tagged:
    """The flow from paths of originals, deleted ones included, to their Tags and totals."""
    found = images | "Look" >> Splitter(blurred=album.is_blurred).with_error_handler(dead)
    blurred = _shared(found.otherwise, "Blur", blurrer(album), shards, dead)
    done = (found.blurred, *blurred) | "Join" >> Join() | "Gather" >> Merger()
    copies = done | "Copy" >> Copier("delete", "tag")
    if delete:
        work = WorkQueue(Deleter(album)).with_done_check(Deleter(album).is_done)
        _ = copies.delete | "Delete" >> work.with_error_handler(dead)
    tags = _shared(copies.tag, "Tag", tagger(album), shards, dead)
    counts = [of | f"Count {i}" >> beam.Map(totals_of).with_output_types(dict[str, Any]) for i, of in enumerate(tags)]
    totals = tuple(counts) | "Total" >> Reduce(merged, key=_all)
    return Tagged(tuple(tags) | "Tags" >> Merger(), totals)


def _shared(images: PCollection, verb: str, work: Any, shards: int, dead: ErrorHandler) -> list[PCollection]:
    """The same work in several queues: when one is held up, the others continue."""
    parts = images | f"Shard for {verb}" >> Sharder(shards)
    return [part | f"{verb} {i}" >> WorkQueue(work).with_error_handler(dead) for i, part in enumerate(parts)]


def _all(unused: Totals) -> str:
    return _ALL


def build(p: beam.Pipeline, o: ImageTaggingOptions) -> Places:
    """Builds the flow between the folders that the options name; returns where its results are."""
    with ErrorHandler("DeadLetters" >> DeadLetters()) as dead:
        find = beam.FlatMap(_found, o.pattern, o.album).with_output_types(str)
        images = p | "Start" >> beam.Impulse() | "Find" >> find
        tagged = image_tagging(images, o.album, dead=dead, shards=o.shards, delete=o.delete_originals)
    letters = dead.output()
    letters | "Park" >> WriteToQueue(o.letters)
    _ = (
        p
        | "Album" >> beam.Create([o.album], reshuffle=False)
        | "Publish" >> beam.Map(_publish, AsDict(tagged.totals), AsIter(tagged.images), AsIter(letters))
    )
    places = {"blurred": Path(o.output, "blurred"), "summary": Path(o.output, SUMMARY), "gallery": Path(o.output, PAGE)}
    return {**{name: str(path) for name, path in places.items()}, "dead letters": o.letters}


def _found(unused: bytes, pattern: FilePattern, album: Album) -> Iterator[str]:
    """The originals, and those that are deleted but have their copies."""
    yield from pattern.checked({*pattern.paths(), *album.images_of_copies()}, "images")


def _publish(album: Album, totals: dict[str, Totals], tagged: Iterable[Tags], letters: Iterable[DeadLetter]) -> None:
    write_summary(album, totals.get(_ALL, _NONE), tagged, letters)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with a command line; returns the exit code, with the balance."""
    return launch(ImageTaggingOptions, build, argv)
