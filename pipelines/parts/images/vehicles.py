"""Vehicles on a road, seen from behind: where, what kind, which colour. Nothing is learnt, all is measured."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["COLORS", "KINDS", "Box", "Vehicle", "color_of", "find_vehicles"]

KINDS = ("car", "truck", "bus", "motorcycle")
#: In the light in which the road looks like `_ROAD`.
COLORS = {
    "white": (236, 236, 233),
    "silver": (168, 171, 175),
    "black": (25, 25, 29),
    "red": (186, 34, 40),
    "yellow": (228, 188, 38),
    "green": (38, 122, 70),
    "blue": (38, 74, 164),
}
_ROAD, _GLASS = (98, 100, 103), (44, 62, 82)
_LOOKS = [*COLORS.values(), _GLASS, _ROAD]
#: So far from the road's colour nothing belongs to the road; less where it is darker, but never below this part of it.
_APART, _DARKEST = 30, 0.3
#: Every other point, in blocks of two by two: fine enough for vehicles.
_STEP, _BLOCK = 2, 2
#: The narrowest vehicle, in parts of the picture's width; lane marks are narrower.
_NARROWEST = 1 / 30


class Box(NamedTuple):
    """A part of a picture."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, pixels: Any) -> Any:
        """The pixels in it."""
        return pixels[self.top : self.bottom, self.left : self.right]


class Vehicle(NamedTuple):
    """What was found."""

    kind: str
    box: Box


def find_vehicles(pixels: Any) -> list[Vehicle]:
    """All vehicles, from left to right."""
    road, few = _road(pixels), pixels[::_STEP, ::_STEP]
    apart = np.abs(few.astype(np.int16) - road).max(axis=2) > _APART * max(road.mean() / _ROAD[0], _DARKEST)
    least = pixels.shape[1] * _NARROWEST
    boxes = [box for box in _boxes(apart) if box.right - box.left >= least]
    return [Vehicle(_kind(box, _in_nominal_light(box.of(pixels), road)), box) for box in sorted(boxes)]


def color_of(pixels: Any, box: Box) -> str:
    """What most of the vehicle looks like, glass and what is seen of the road aside."""
    nearest = _nearest(_in_nominal_light(box.of(pixels), _road(pixels)))
    counts = np.bincount(nearest.ravel(), minlength=len(_LOOKS))[: len(COLORS)]
    return list(COLORS)[int(counts.argmax())]


def _road(pixels: Any) -> Any:
    """The colour of most of the picture."""
    return np.maximum(np.median(pixels[:: 2 * _STEP, :: 2 * _STEP].reshape(-1, 3), axis=0), 1)


def _in_nominal_light(part: Any, road: Any) -> Any:
    """As it would look if the road had its nominal colour: by day and in the evening. Fewer points are enough."""
    return part[::_STEP, ::_STEP] * (np.array(_ROAD) / road)


def _kind(box: Box, light: Any) -> str:
    shape = (box.bottom - box.top) / (box.right - box.left)
    if shape > 1.6:
        return "motorcycle"
    if shape < 1.0:
        return "car"
    return "bus" if (_nearest(light) == _LOOKS.index(_GLASS)).mean() > 0.12 else "truck"


def _nearest(light: Any) -> Any:
    """For each point the number of the look that it is most like."""
    apart = [np.square(light - np.array(look)).sum(axis=2) for look in _LOOKS]
    return np.argmin(apart, axis=0)


def _boxes(mask: Any) -> list[Box]:
    """Around all that hangs together, block by block."""
    height, width = (length // _BLOCK for length in mask.shape)
    blocks = mask[: height * _BLOCK, : width * _BLOCK].reshape(height, _BLOCK, width, _BLOCK).mean(axis=(1, 3)) >= 0.5
    labels, found = _labels(blocks), []
    for label in np.unique(labels[blocks]):
        rows, columns = np.nonzero(labels == label)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append(Box(*(int(edge) * _BLOCK * _STEP for edge in edges)))
    return found


def _labels(blocks: Any) -> Any:
    """A number for each block, the same where they touch: the largest one spreads until nothing changes."""
    labels = np.where(blocks, np.arange(1, blocks.size + 1).reshape(blocks.shape), 0)
    while True:
        spread = np.pad(labels, 1)
        around = (spread[:-2, 1:-1], spread[2:, 1:-1], spread[1:-1, :-2], spread[1:-1, 2:])
        larger = np.where(blocks, np.maximum.reduce([labels, *around]), 0)
        if (larger == labels).all():
            return labels
        labels = larger
