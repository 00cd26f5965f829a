"""Pictures among what a run produced: thumbnails, charts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

__all__ = ["Image", "images_in"]

_KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
}
#: The page stays a page.
_MOST, _LARGEST = 24, 300_000


class Image(NamedTuple):
    """A picture to be shown in a page."""

    name: str
    kind: str
    data: bytes


def images_in(places: Iterable[str], since: float) -> list[Image]:
    """The first pictures that were made since then, in the local folders that a run wrote to."""
    folders = dict.fromkeys(map(_folder, places))
    found = {path: image for folder in folders if folder for path, image in _found(folder, since)}
    return list(found.values())[:_MOST]


def _folder(place: str) -> Path | None:
    """A place's folder: of a file that lies in one, or the place itself."""
    if "://" in place and not place.startswith("file://"):
        return None
    path = Path(place.removeprefix("file://").partition("*")[0])
    return path if path.is_dir() else path.parent if path.is_file() else None


def _found(folder: Path, since: float) -> Iterator[tuple[Path, Image]]:
    for path in islice(_pictures(folder, since), _MOST):
        yield path, Image(str(path.relative_to(folder)), _KINDS[path.suffix.lower()], path.read_bytes())


def _pictures(folder: Path, since: float) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _KINDS and path.is_file():
            said = path.stat()
            # When it came there: what is made of a file may have that one's own time of modification.
            if said.st_ctime >= since and said.st_size <= _LARGEST:
                yield path
