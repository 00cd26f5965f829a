"""The results of image_tagging: totals that can be merged, as JSON and as a page with all blurred images."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from beam_patterns.pipelines.parts.files.gallery import Card, write_gallery
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import replaced_file

from .album import Album
from .work import Tags

__all__ = ["SUMMARY", "Totals", "merged", "totals_of", "write_summary"]

SUMMARY = "summary.json"

#: {"vehicles": {"car": 2}, "colors": {"red": 1, "blue": 1}}
Totals = Mapping[str, Mapping[str, int]]


def totals_of(tags: Tags) -> Totals:
    """The totals of one image."""
    return {"vehicles": tags.vehicles, "colors": tags.colors}


def merged(one: Totals, other: Totals) -> Totals:
    """The sum of two totals.

    >>> merged({"vehicles": {"car": 1}, "colors": {"red": 1}}, {"vehicles": {"car": 1}, "colors": {"blue": 1}})
    {'vehicles': {'car': 2}, 'colors': {'blue': 1, 'red': 1}}
    """
    return {name: dict(sorted((Counter(one[name]) + Counter(other[name])).items())) for name in one}


def write_summary(album: Album, totals: Totals, tagged: Iterable[Tags], letters: Iterable[DeadLetter]) -> str:
    """Writes the totals, and a page with every image that has a blurred copy; returns the page's path."""
    output, images = Path(album.output), sorted(tagged)
    with replaced_file(output / SUMMARY) as partial:
        partial.write_text(json.dumps(totals, indent=2) + "\n", encoding="utf-8")
    return write_gallery(
        output,
        "Traffic",
        f"{len(images):,} {'image' if len(images) == 1 else 'images'} with unreadable number plates.",
        (_card(album, tags) for tags in images),
        "Images that failed",
        letters,
        totals=[f"{count:,} {name}" for counts in totals.values() for name, count in counts.items()],
    )


def _card(album: Album, tags: Tags) -> Card:
    copy = quote(album.copy(f"{album.root}/{tags.image}").relative_to(album.output).as_posix())
    types, colors = (", ".join(f"{n} {name}" for name, n in of.items()) for of in (tags.vehicles, tags.colors))
    return Card(name=tags.image, about=f"{types}; {colors}" if types else "no vehicle", link=copy, image=copy)
