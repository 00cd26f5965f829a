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
    return list(
        islice((image for place in dict.fromkeys(map(_folder, places)) for image in _found(place, since)), _MOST)
    )


def _folder(place: str) -> Path | None:
    """A place's folder: of a file that lies in one, or the place itself."""
    if "://" in place and not place.startswith("file://"):
        return None
    path = Path(place.removeprefix("file://").partition("*")[0])
    return path if path.is_dir() else path.parent if path.is_file() else None


def _found(folder: Path | None, since: float) -> Iterator[Image]:
    for path in sorted(folder.rglob("*")) if folder else ():
        kind = _KINDS.get(path.suffix.lower())
        if kind and path.is_file() and path.stat().st_mtime >= since and path.stat().st_size <= _LARGEST:
            yield Image(str(path.relative_to(folder)), kind, path.read_bytes())  # type: ignore[arg-type]
