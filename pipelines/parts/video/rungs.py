"""The sizes that people watch videos in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["FHD", "MOBILE", "RUNGS", "UHD", "Rung"]


class Rung(NamedTuple):
    """One of the sizes; lines are those of the shorter side, so a video that stands upright is treated alike.

    >>> UHD.fits({"width": 1920, "height": 1080}), FHD.fits({"width": 1280, "height": 720})
    (False, True)
    >>> FHD.size(3840, 2160), FHD.size(720, 1280), MOBILE.size(1920, 1080), MOBILE.size(161, 121)
    ((1920, 1080), (720, 1280), (854, 480), (160, 120))
    """

    file: str
    lines: int
    """At most; never enlarged."""
    above: int
    """Made of videos with more lines than this: of one that has no more, the next smaller rung shows all there is."""
    quality: int
    """x264's constant rate factor, smaller is better."""
    sound: int
    """Bits per second, where the sound has to be encoded anew."""

    def fits(self, video: Mapping[str, Any]) -> bool:
        """Whether this rung shows more of the video than the next smaller one."""
        return min(video["width"], video["height"]) > self.above

    def size(self, width: int, height: int) -> tuple[int, int]:
        """In the video's proportions; even numbers, as H.264 wants them."""
        scale = min(self.lines / min(width, height), 1)
        return _even(scale, width), _even(scale, height)


def _even(scale: float, length: int) -> int:
    """The nearest even number, not larger than the length was; the smallest picture has 2 by 2 points."""
    return max(min(round(length * scale / 2) * 2, length // 2 * 2), 2)


MOBILE = Rung("mobile.mp4", 480, 0, 26, 96_000)
FHD = Rung("1080p.mp4", 1080, MOBILE.lines, 22, 160_000)
UHD = Rung("2160p.mp4", 2160, FHD.lines, 20, 192_000)
RUNGS = (UHD, FHD, MOBILE)
