"""The result of image_tagging: totals that merge, as JSON and as a page with all blurred images."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from beam_patterns.pipelines.parts.files.gallery import Gallery
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import replaced_file

from .album import Album
from .work import Tags

__all__ = ["SUMMARY", "Totals", "merged", "totals_of", "write_summary"]

SUMMARY = "summary.json"

#: {"vehicles": {"car": 2}, "colors": {"red": 1, "blue": 1}}
Totals = Mapping[str, Mapping[str, int]]


def totals_of(tags: Tags) -> Totals:
    """Those of one image."""
    return {"vehicles": tags.vehicles, "colors": tags.colors}


def merged(one: Totals, other: Totals) -> Totals:
    """The sum of two.

    >>> merged({"vehicles": {"car": 1}, "colors": {"red": 1}}, {"vehicles": {"car": 1}, "colors": {"blue": 1}})
    {'vehicles': {'car': 2}, 'colors': {'blue': 1, 'red': 1}}
    """
    return {name: dict(sorted((Counter(one[name]) + Counter(other[name])).items())) for name in one}


def write_summary(album: Album, totals: Totals, tagged: Iterable[Tags], letters: Iterable[DeadLetter]) -> str:
    """The totals in a file, and a page with every image that has a blurred copy; the page's path."""
    output, images = Path(album.output), sorted(tagged)
    with replaced_file(output / SUMMARY) as partial:
        partial.write_text(json.dumps(totals, indent=2) + "\n", encoding="utf-8")
    counts = [f"<li>{count:,} {escape(name)}</li>" for named in totals.values() for name, count in named.items()]
    return Gallery(
        title="Traffic",
        summary=f"{len(images):,} {'image' if len(images) == 1 else 'images'}, number plates made unreadable.",
        facts=f'<ul class="facts">{"".join(counts)}</ul>\n',
        cards=(_card(album, tags) for tags in images),
        failed="These could not be worked on",
        letters=letters,
    ).write(output)


def _card(album: Album, tags: Tags) -> str:
    at = quote(album.copy(f"{album.root}/{tags.image}").relative_to(album.output).as_posix())
    return (
        f'<a href="{at}"><div class="stage"><img src="{at}" loading="lazy" alt=""></div>'
        f'<div class="name">{escape(tags.image)}</div><div class="about">{escape(_about(tags))}</div></a>'
    )


def _about(tags: Tags) -> str:
    kinds, colors = (", ".join(f"{n} {name}" for name, n in of.items()) for of in (tags.vehicles, tags.colors))
    return f"{kinds}; {colors}" if kinds else "no vehicle"
