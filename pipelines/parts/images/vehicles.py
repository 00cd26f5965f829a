"""Vehicles on a road, seen from the back: position, type and colour. All of it is measured, nothing is learned."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["COLORS", "Box", "Vehicle", "color_of", "find_vehicles"]

#: Colours in the light in which the road looks like `_ROAD`.
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
_SURFACES = [*COLORS.values(), _GLASS, _ROAD]
#: Distance from the road's colour beyond which a pixel isn't road; less on a darker road, down to this share of it.
_DISTANCE, _MIN_SHARE = 30, 0.3
#: Every other pixel, in blocks of two by two, is fine enough for vehicles.
_STEP, _BLOCK = 2, 2
#: The smallest width of a vehicle as a share of the image's width; lane marks are narrower.
_MIN_WIDTH = 1 / 30


class Box(NamedTuple):
    """A part of an image."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, pixels: Any) -> Any:
        """The pixels in the box."""
        return pixels[self.top : self.bottom, self.left : self.right]


class Vehicle(NamedTuple):
    """A vehicle: "car", "truck", "bus" or "motorcycle", and its position."""

    type: str
    box: Box


def find_vehicles(pixels: Any) -> list[Vehicle]:
    """All vehicles, from left to right."""
    road, sample = _road_color(pixels), pixels[::_STEP, ::_STEP]
    distance = np.abs(sample.astype(np.int16) - road).max(axis=2)
    boxes = _boxes(distance > _DISTANCE * max(road.mean() / _ROAD[0], _MIN_SHARE))
    wide = sorted(box for box in boxes if box.right - box.left >= pixels.shape[1] * _MIN_WIDTH)
    return [Vehicle(_type(box, _in_nominal_light(box.of(pixels), road)), box) for box in wide]


def color_of(pixels: Any, box: Box) -> str:
    """The colour of most of the vehicle, apart from glass and visible road."""
    nearest = _nearest_surface(_in_nominal_light(box.of(pixels), _road_color(pixels)))
    counts = np.bincount(nearest.ravel(), minlength=len(_SURFACES))[: len(COLORS)]
    return list(COLORS)[int(counts.argmax())]


def _road_color(pixels: Any) -> Any:
    """The median colour: most of an image is road."""
    return np.maximum(np.median(pixels[:: 2 * _STEP, :: 2 * _STEP].reshape(-1, 3), axis=0), 1)


def _in_nominal_light(part: Any, road: Any) -> Any:
    """A sample of the pixels as they would look if the road had its nominal colour, by day and in the evening."""
    return part[::_STEP, ::_STEP] * (np.array(_ROAD) / road)


def _type(box: Box, sample: Any) -> str:
    shape = (box.bottom - box.top) / (box.right - box.left)
    if shape > 1.6:
        return "motorcycle"
    if shape < 1.0:
        return "car"
    return "bus" if (_nearest_surface(sample) == _SURFACES.index(_GLASS)).mean() > 0.12 else "truck"


def _nearest_surface(sample: Any) -> Any:
    """For each pixel the index of the surface with the most similar colour."""
    return np.argmin([np.square(sample - np.array(color)).sum(axis=2) for color in _SURFACES], axis=0)


def _boxes(mask: Any) -> list[Box]:
    """Boxes around the connected parts, in whole blocks."""
    height, width = (length // _BLOCK for length in mask.shape)
    blocks = mask[: height * _BLOCK, : width * _BLOCK].reshape(height, _BLOCK, width, _BLOCK).mean(axis=(1, 3)) >= 0.5
    labels, found = _labels(blocks), []
    for label in np.unique(labels[blocks]):
        rows, columns = np.nonzero(labels == label)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append(Box(*(int(edge) * _BLOCK * _STEP for edge in edges)))
    return found


def _labels(blocks: Any) -> Any:
    """A number for each block, the same for blocks that touch: the largest number spreads until nothing changes."""
    labels = np.where(blocks, np.arange(1, blocks.size + 1).reshape(blocks.shape), 0)
    while True:
        spread = np.pad(labels, 1)
        around = (spread[:-2, 1:-1], spread[2:, 1:-1], spread[1:-1, :-2], spread[1:-1, 2:])
        larger = np.where(blocks, np.maximum.reduce([labels, *around]), 0)
        if (larger == labels).all():
            return labels
        labels = larger
