"""Pictures of traffic: number plates are made unreadable, then vehicles are counted by type and colour.

```
/images/*.jpg --> Find --> Splitter --> Sharder --> WorkQueue(MultiWorker: plates, blur) x n --+
                               |                        |                                      +--> Join --> Copier
                               +--> blurred before -----|--------------------------------------+             |   |
                                                        +--> dead letters: what is no image                  |   |
                                          --delete_originals: WorkQueue(delete) <----------------------------+   |
                                                                                                                 v
summary.json, index.html <-- Reduce <-- WorkQueue(MultiWorker: vehicles, colors, tags) x n <-- Sharder <---------+
```

    python pipelines/image_tagging.py --images '/images/*.jpg' --output /traffic --delete_originals

Blurred copies lie in OUTPUT/blurred under their originals' names, with nothing of the originals but the pixels. No
original is deleted before all images of the run are blurred (the Join), and none whose copy is not written whole; what
could not be blurred stays. Counted are all images that have a copy, also those whose originals earlier runs deleted: a
run that was killed is simply run again, and comes to the same totals. Vehicles and plates are found by measuring, which
the pictures of examples/traffic.py are made for; others will want a model in pipelines/images/. Needs `pip install
'beam-patterns[images]'`.

Source: Burns, Designing Distributed Systems, chapter 13 (coordinated batch processing), hands-on: an image tagging and
processing pipeline.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsIter, PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, launch, option, queue, switch
from beam_patterns.pipelines.parts.files.find import FilePattern
from beam_patterns.pipelines.parts.files.gallery import PAGE
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
from beam_patterns.transforms.queues import QueueError, WriteToQueue

_ALL, _NONE = "all", {"vehicles": {}, "colors": {}}
_MOST_SHARDS = 64


class ImageTaggingOptions(Options):
    """Pictures of traffic: plates are blurred, originals deleted if wanted, vehicles counted by type and colour."""

    images: str = option(
        "The images, a folder or a pattern, in quotes so that the shell leaves it alone; ** means all folders below.",
        example="'/images/*.jpg'",
    )
    output: str = option("The folder for blurred copies, summary.json and index.html.", example="/traffic")
    delete_originals: bool = option(
        "Delete each original when all images of the run are blurred; what could not be blurred stays.",
        example="true",
        type=switch,
        default=False,
    )
    shards: int = option("How many work queues share the images.", example="4", type=int, default=2)
    dead_letters: str = option(
        "The queue for what is no image, with the reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )

    streams: ClassVar[bool] = False
    local: ClassVar[str] = "images, and their blurred copies, are in folders that all workers must see"

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        try:
            self.pattern  # noqa: B018 (a property that checks)
        except ValueError as error:
            raise ValueError(f"--images: {error}") from None
        self.pattern.refuse_among(self.output, "images")
        if not 1 <= self.shards <= _MOST_SHARDS:
            raise ValueError(f"--shards: {self.shards} is not between 1 and {_MOST_SHARDS}")
        queue(self.letters)
        if importlib.util.find_spec("PIL") is None:
            raise ValueError("images need the package pillow: pip install 'beam-patterns[images]'")

    @property
    def pattern(self) -> FilePattern:
        """Which files."""
        return FilePattern.of(self.images)

    @property
    def album(self) -> Album:
        """Where originals and copies lie."""
        return Album(self.pattern.root, str(Path(self.output).absolute()))

    @property
    def letters(self) -> str:
        """The dead letters' URI."""
        return self.dead_letters or str(Path(self.output).absolute() / "dead_letters.jsonl")


class Tagged(NamedTuple):
    """What is in each image, and in all of them."""

    images: PCollection
    totals: PCollection


def image_tagging(
    images: PCollection, album: Album, *, dead: ErrorHandler, shards: int = 2, delete: bool = False
) -> Tagged:
    """The flow, from paths of originals, deleted ones included, to their Tags and to pairs ("all", totals)."""
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
    """The same work in several queues: where one is held up, the others go on."""
    parts = images | f"Shard for {verb}" >> Sharder(shards)
    return [part | f"{verb} {i}" >> WorkQueue(work).with_error_handler(dead) for i, part in enumerate(parts)]


def _all(unused: Totals) -> str:
    return _ALL


def build(p: beam.Pipeline, o: ImageTaggingOptions) -> Places:
    """The flow between the folders that the options name, and where its results lie."""
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
    """The originals there are, and those that are deleted but have their copies."""
    images = {*pattern.paths(), *album.images_of_copies()}
    if not images:
        raise QueueError(f"there is no file {pattern}; check --images")
    yield from sorted(images)


def _publish(album: Album, totals: dict[str, Totals], tagged: Iterable[Tags], letters: Iterable[DeadLetter]) -> None:
    write_summary(album, totals.get(_ALL, _NONE), tagged, letters)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(ImageTaggingOptions, build, argv)
