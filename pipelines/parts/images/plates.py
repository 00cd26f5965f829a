"""Number plates: found by their characters, which have many edges side by side, and made unreadable."""

from itertools import pairwise
from typing import Any

import numpy as np

from .vehicles import Box, find_vehicles

__all__ = ["blur", "find_plates"]

#: From one point to the next, of 255: an edge of a character, also in the evening.
_EDGE = 35
#: Edges side by side, within a third of the vehicle's width: a lamp or a door has one to three, a plate more.
_LEAST_EDGES = 4
#: A plate in parts of its vehicle's width: what is narrower is none, nor what is higher.
_LEAST_WIDE, _LEAST_HIGH = 0.2, 0.04
_MARGIN = 8


def find_plates(pixels: Any) -> list[Box]:
    """A box around each plate, with a margin."""
    plates = (_plate(vehicle.box, vehicle.box.of(pixels)) for vehicle in find_vehicles(pixels))
    return [_wider(plate, pixels.shape) for plate in plates if plate is not None]


def blur(pixels: Any, plates: list[Box]) -> Any:
    """Each plate in the one colour that most of it has: a soft blur could be computed back, this can't."""
    blurred = pixels.copy()
    for box in plates:
        box.of(blurred)[:] = np.median(box.of(pixels), axis=(0, 1))
    return blurred


def _plate(box: Box, pixels: Any) -> Box | None:
    """From the first to the last character, in both directions."""
    gray = pixels.astype(np.float32).mean(axis=2)
    steep = np.abs(np.diff(gray, axis=1, prepend=gray[:, :1])) > _EDGE
    edges = steep & ~np.roll(steep, 1, axis=1)  # An edge is often two points wide.
    width, near = edges.shape[1], edges.shape[1] // 3
    counts = np.cumsum(np.pad(edges, ((0, 0), (near, 0))), axis=1)
    dense = counts[:, near:] - counts[:, :-near] >= _LEAST_EDGES
    rows = _longest(_spread(dense.any(axis=1), 3), least=max(round(width * _LEAST_HIGH), 3))
    if rows is None:
        return None
    # Characters are not farther apart than they are high.
    text = _spread(steep[slice(*rows)].any(axis=0), rows[1] - rows[0])
    columns = _longest(text, least=round(width * _LEAST_WIDE))
    if columns is None:
        return None
    return Box(box.left + columns[0], box.top + rows[0], box.left + columns[1], box.top + rows[1])


def _wider(box: Box, shape: tuple[int, ...]) -> Box:
    """With frame and shadow, within the picture."""
    return Box(
        max(box.left - _MARGIN, 0),
        max(box.top - _MARGIN, 0),
        min(box.right + _MARGIN, shape[1]),
        min(box.bottom + _MARGIN, shape[0]),
    )


def _spread(flags: Any, near: int) -> Any:
    """True also between two that are so near to each other."""
    places = np.flatnonzero(flags)
    for one, other in pairwise(places):
        if other - one <= near:
            flags[one:other] = True
    return flags


def _longest(flags: Any, least: int) -> tuple[int, int] | None:
    """The longest run of True, from and to; None if it is shorter than that."""
    steps = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    runs = sorted(zip(steps[::2], steps[1::2], strict=True), key=lambda run: run[0] - run[1])
    if not runs or runs[0][1] - runs[0][0] < least:
        return None
    return int(runs[0][0]), int(runs[0][1])
