"""Images among the results of a run: thumbnails, charts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

__all__ = ["Image", "images_in"]

_TYPES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif", ".svg": "svg+xml"}
#: Limits the size of the page.
_MAX_IMAGES, _MAX_BYTES = 24, 300_000


class Image(NamedTuple):
    """An image to show in a page."""

    name: str
    type: str
    data: bytes


def images_in(places: Iterable[str], since: float) -> list[Image]:
    """The first images that were written since this time, in the local folders that a run wrote to."""
    found: dict[Path, Image] = {}
    for folder in dict.fromkeys(filter(None, map(_folder, places))):
        for path in islice(_written(folder, since), _MAX_IMAGES):
            media_type = f"image/{_TYPES[path.suffix.lower()]}"
            found[path] = Image(str(path.relative_to(folder)), media_type, path.read_bytes())
    return list(found.values())[:_MAX_IMAGES]


def _folder(place: str) -> Path | None:
    """The place itself, or the folder of a file."""
    if "://" in place and not place.startswith("file://"):
        return None
    path = Path(place.removeprefix("file://").partition("*")[0])
    return path if path.is_dir() else path.parent if path.is_file() else None


def _written(folder: Path, since: float) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _TYPES and path.is_file():
            status = path.stat()
            # The change time: a file made from another may have that file's modification time.
            if status.st_ctime >= since and status.st_size <= _MAX_BYTES:
                yield path
