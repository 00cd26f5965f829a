"""Number plates: found by their characters, which have many edges next to each other, and made unreadable."""

from itertools import pairwise
from typing import Any

import numpy as np

from .vehicles import Box, find_vehicles

__all__ = ["blur", "find_plates"]

#: Difference between neighbouring pixels, of 255, at the edge of a character, in the evening too.
_EDGE = 35
#: Number of edges within a third of the vehicle's width: a lamp or a door has one to three, a plate more.
_MIN_EDGES = 4
#: The smallest width and height of a plate as shares of its vehicle's width.
_MIN_WIDTH, _MIN_HEIGHT = 0.2, 0.04
_MARGIN = 8


def find_plates(pixels: Any) -> list[Box]:
    """A box around each plate, with a margin."""
    plates = (_plate(vehicle.box, vehicle.box.of(pixels)) for vehicle in find_vehicles(pixels))
    return [_with_margin(plate, pixels.shape) for plate in plates if plate is not None]


def blur(pixels: Any, plates: list[Box]) -> Any:
    """The pixels with each plate in its median colour, which can't be reversed, unlike a soft blur."""
    blurred = pixels.copy()
    for box in plates:
        box.of(blurred)[:] = np.median(box.of(pixels), axis=(0, 1))
    return blurred


def _plate(box: Box, pixels: Any) -> Box | None:
    """The box from the first to the last character, in both directions."""
    gray = pixels.astype(np.float32).mean(axis=2)
    steep = np.abs(np.diff(gray, axis=1, prepend=gray[:, :1])) > _EDGE
    edges = steep & ~np.roll(steep, 1, axis=1)  # An edge is often two pixels wide.
    width, near = edges.shape[1], edges.shape[1] // 3
    counts = np.cumsum(np.pad(edges, ((0, 0), (near, 0))), axis=1)
    dense = counts[:, near:] - counts[:, :-near] >= _MIN_EDGES
    rows = _longest_run(_filled(dense.any(axis=1), 3), at_least=max(round(width * _MIN_HEIGHT), 3))
    if rows is None:
        return None
    # The gap between two characters is not wider than they are high.
    text = _filled(steep[slice(*rows)].any(axis=0), rows[1] - rows[0])
    columns = _longest_run(text, at_least=round(width * _MIN_WIDTH))
    if columns is None:
        return None
    return Box(box.left + columns[0], box.top + rows[0], box.left + columns[1], box.top + rows[1])


def _with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    """The box with the plate's frame and shadow, inside the image."""
    left, top = max(box.left - _MARGIN, 0), max(box.top - _MARGIN, 0)
    return Box(left, top, min(box.right + _MARGIN, shape[1]), min(box.bottom + _MARGIN, shape[0]))


def _filled(flags: Any, gap: int) -> Any:
    """The flags, also true in gaps up to this width."""
    for one, other in pairwise(np.flatnonzero(flags)):
        if other - one <= gap:
            flags[one:other] = True
    return flags


def _longest_run(flags: Any, at_least: int) -> tuple[int, int] | None:
    """The start and end of the longest run of true flags; None if it is shorter than that."""
    steps = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    start, end = max(zip(steps[::2], steps[1::2], strict=True), key=lambda run: run[1] - run[0], default=(0, 0))
    return (int(start), int(end)) if end - start >= max(at_least, 1) else None
