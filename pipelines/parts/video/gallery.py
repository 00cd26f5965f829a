"""The page that shows all thumbnails: posters in the page itself, previews and sheets beside it."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beam_patterns.pipelines.parts.files.gallery import Gallery
from beam_patterns.transforms import DeadLetter

from .frames import clock
from .thumbnails import FACTS

__all__ = ["write_gallery"]

_POSTER = 320


def write_gallery(output: str, failed: Iterable[DeadLetter]) -> str:
    """Shows every video that has its thumbnails in the output folder, and why others have none; the page's path."""
    root, letters = Path(output), list(failed)
    found = sorted(root.rglob(FACTS))
    complete = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    cards = [card for path in complete for card in _cards(root, path)]
    failures = len({(letter.payload, letter.error_message) for letter in letters})
    return Gallery("Videos", _summary(len(cards), failures), cards, "No thumbnails of these", letters).write(root)


def _cards(root: Path, path: Path) -> Iterator[str]:
    folder = path.parent
    try:
        facts = json.loads(path.read_bytes())
        poster = _inlined(folder / facts["frames"][len(facts["frames"]) // 2]["file"])
    except OSError:  # Made anew by another run at this moment.
        return
    at = quote(folder.relative_to(root).as_posix())
    yield (
        f'<a href="{at}/{facts["sheet"]}"><div class="stage"><img src="{poster}" alt="">'
        f'<img class="moving" loading="lazy" src="{at}/{facts["preview"]}" alt="">'
        f'<span>{clock(facts["seconds"])}</span></div><div class="name">{escape(facts["video"])}</div>'
        f'<div class="about">{_about(facts)}</div></a>'
    )


def _about(facts: dict[str, Any]) -> str:
    count = len(facts["frames"])
    return f"{facts['width']} × {facts['height']}, {count} {'frame' if count == 1 else 'frames'}"  # noqa: RUF001


def _inlined(picture: Path) -> str:
    """Small and in the page itself, so that the page can be passed on alone."""
    from PIL import Image

    small, data = Image.open(picture), io.BytesIO()
    small.thumbnail((_POSTER, _POSTER))
    small.save(data, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _summary(videos: int, failed: int) -> str:
    count = f"{videos:,} {'video' if videos == 1 else 'videos'}"
    told = f"{count}. Point at one to see it move, open it for its contact sheet."
    return f"{told} {failed:,} could not be shown, see below." if failed else told
