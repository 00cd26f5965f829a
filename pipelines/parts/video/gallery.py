"""The gallery of all thumbnails: still images in the page itself, animations and contact sheets next to it."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from beam_patterns.pipelines.parts.files.gallery import Card, write_gallery
from beam_patterns.transforms import DeadLetter

from .frames import clock
from .thumbnails import DESCRIPTION

__all__ = ["write_video_gallery"]

_LONGEST = 320


def write_video_gallery(output: str, failed: Iterable[DeadLetter]) -> str:
    """Writes the page: all videos with thumbnails in the output folder, and why others have none. Returns its path."""
    root, letters = Path(output), list(failed)
    found = sorted(root.rglob(DESCRIPTION))
    complete = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    cards = [card for path in complete for card in _cards(root, path)]
    summary = f"{len(cards):,} {'video' if len(cards) == 1 else 'videos'}. Point at one to see its preview; open it "
    summary += "to see its contact sheet."
    if failures := len({(letter.payload, letter.error_message) for letter in letters}):
        summary += f" {failures:,} without thumbnails are listed below."
    return write_gallery(root, "Videos", summary, cards, "Without thumbnails", letters)


def _cards(root: Path, path: Path) -> Iterator[Card]:
    try:
        about = json.loads(path.read_bytes())
        image = _inlined(path.parent / about["frames"][len(about["frames"]) // 2]["file"])
    except OSError:  # Another run is replacing the folder at this moment.
        return
    folder, count = quote(path.parent.relative_to(root).as_posix()), len(about["frames"])
    yield Card(
        name=about["video"],
        about=f"{about['width']} × {about['height']}, {count} {'frame' if count == 1 else 'frames'}",  # noqa: RUF001
        link=f"{folder}/{about['sheet']}",
        image=image,
        preview=f"{folder}/{about['preview']}",
        length=clock(about["seconds"]),
    )


def _inlined(path: Path) -> str:
    """An image as a small data URL, so that the page shows something when it is passed on alone."""
    from PIL import Image

    with Image.open(path) as image:
        image.thumbnail((_LONGEST, _LONGEST))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
