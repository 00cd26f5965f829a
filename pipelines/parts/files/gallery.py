"""A page that shows the results made of files, a card for each file, and why others have none."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from beam_patterns.pipelines.runtime.pages import write_page
from beam_patterns.transforms import DeadLetter

__all__ = ["PAGE", "Card", "write_gallery"]

PAGE = "index.html"


class Card(NamedTuple):
    """An image with a link. Links and images are URLs, relative to the page or with the data in them."""

    name: str
    about: str
    link: str
    image: str
    preview: str = ""
    """A moving image, which replaces the image while the mouse points at the card."""
    length: str = ""


def write_gallery(
    folder: Path,
    title: str,
    summary: str,
    cards: Iterable[Card],
    heading_of_failures: str,
    letters: Iterable[DeadLetter],
    totals: Iterable[str] = (),
) -> str:
    """Writes the page into a folder, complete or not at all; returns its path."""
    page = folder / PAGE
    write_page(
        page,
        "parts/files/gallery.html",
        title=title,
        summary=summary,
        cards=list(cards),
        heading_of_failures=heading_of_failures,
        failures=sorted({(letter.payload or b"", letter.error_message) for letter in letters}),
        totals=list(totals),
    )
    return str(page)
