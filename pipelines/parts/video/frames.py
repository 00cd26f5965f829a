"""Images of a video's frames: evenly spaced in time, on a contact sheet, in an animation."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .source import Source

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Shot", "clock", "contact_sheet", "save_animation", "shots"]

_GAP, _BACKGROUND, _INK, _OUTLINE = 6, (24, 24, 27), (255, 255, 255), (0, 0, 0)
_FRAME_MS = 500


class Shot(NamedTuple):
    """A frame and its time in seconds."""

    seconds: float
    image: "Image.Image"


def shots(source: Source, count: int, longest: int) -> list[Shot]:
    """The frames in the middle of `count` equal parts of a video, each frame once: a short video may have fewer.

    A video of 60 seconds and 3 frames: at 10, 30 and 50 seconds. `longest` limits the longer side in pixels.
    """
    moments = [source.length * (part + 0.5) / count for part in range(count)]
    return [Shot(seconds, source.image(frame, longest)) for seconds, frame in source.frames_at(moments)]


def contact_sheet(taken: Sequence[Shot]) -> "Image.Image":
    """All frames in one image, each with its time."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = taken[0].image.size
    columns = min(max(round(math.sqrt(len(taken) * height / width * 4 / 3)), 1), len(taken))
    rows = math.ceil(len(taken) / columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(max(min(width, height) // 12, 9))
    for number, shot in enumerate(taken):
        row, column = divmod(number, columns)
        left, top = _GAP + column * (width + _GAP), _GAP + row * (height + _GAP)
        sheet.paste(shot.image, (left, top))
        corner = (left + width - 4, top + height - 4)
        draw.text(corner, clock(shot.seconds), _INK, font, anchor="rd", stroke_width=1, stroke_fill=_OUTLINE)
    return sheet


def save_animation(taken: Sequence[Shot], path: Path) -> None:
    """Writes an animated WebP that shows the frames in a loop."""
    first, *others = (shot.image for shot in taken)
    first.save(path, "WEBP", save_all=True, append_images=others, duration=_FRAME_MS, loop=0, quality=70, method=2)


def clock(seconds: float) -> str:
    """A time as players show it.

    >>> clock(75.2), clock(3675), clock(0.04)
    ('1:15', '1:01:15', '0:00')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
