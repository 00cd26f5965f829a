"""Pictures made of a video's frames: spread over its length, on a sheet, moving."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .source import Source

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Shot", "clock", "save_moving", "sheet", "shots"]

_GAP, _PAPER, _INK, _SHADE = 6, (24, 24, 27), (255, 255, 255), (0, 0, 0)
_SHOWN_MS = 500


class Shot(NamedTuple):
    """A frame and the second it is shown at."""

    seconds: float
    picture: "Image.Image"


def shots(source: Source, count: int, longest: int) -> list[Shot]:
    """So many frames, each from the middle of its part of the video; fewer if there are not so many.

    A video of 60 seconds and 3 frames: at 10, 30 and 50 seconds.
    """
    moments = [source.length * (part + 0.5) / count for part in range(count)]
    return [Shot(seconds, source.picture(frame, longest)) for seconds, frame in source.frames_at(moments)]


def sheet(taken: Sequence[Shot]) -> "Image.Image":
    """A contact sheet: all on one page, each with its time."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = taken[0].picture.size
    columns = min(max(round(math.sqrt(len(taken) * height / width * 4 / 3)), 1), len(taken))
    rows = math.ceil(len(taken) / columns)
    page = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(max(min(width, height) // 12, 9))
    for number, shot in enumerate(taken):
        row, column = divmod(number, columns)
        left, top = _GAP + column * (width + _GAP), _GAP + row * (height + _GAP)
        page.paste(shot.picture, (left, top))
        corner = (left + width - 4, top + height - 4)
        draw.text(corner, clock(shot.seconds), _INK, font, anchor="rd", stroke_width=1, stroke_fill=_SHADE)
    return page


def save_moving(taken: Sequence[Shot], path: Path) -> None:
    """An animated WebP that shows one after the other, for ever."""
    first, *others = (shot.picture for shot in taken)
    first.save(path, "WEBP", save_all=True, append_images=others, duration=_SHOWN_MS, loop=0, quality=70, method=2)


def clock(seconds: float) -> str:
    """A time as players show it.

    >>> clock(75.2), clock(3675), clock(0.04)
    ('1:15', '1:01:15', '0:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
