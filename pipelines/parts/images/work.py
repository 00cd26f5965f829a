"""The work of image_tagging: the stages of its two multi-workers, and the deletion of originals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from beam_patterns.transforms import MultiWorker

from .album import Album
from .pictures import read, write
from .plates import blur, find_plates
from .vehicles import Box, Vehicle, color_of, find_vehicles

__all__ = ["Deleter", "Tags", "blurrer", "tagger"]


class Tags(NamedTuple):
    """The number of vehicles in one image, by type and by colour."""

    image: str
    vehicles: dict[str, int]
    colors: dict[str, int]


@dataclass(frozen=True)
class Deleter:
    """A worker that deletes the original of an image and returns the image."""

    album: Album

    def __call__(self, image: str) -> str:
        """Deletes the original if it has its blurred copy."""
        self.album.delete_original(image)
        return image

    def is_done(self, image: str) -> bool:
        """Whether the original was deleted before."""
        return not Path(image).exists()


def blurrer(album: Album) -> MultiWorker:
    """A worker that writes the blurred copy of an image and returns the image."""
    stages = _Stages(album)
    return MultiWorker(plates=stages.plates, blurred=(stages.blurred, "item", "plates"))


def tagger(album: Album) -> MultiWorker:
    """A worker from an image to its Tags, which reads the blurred copy only."""
    stages = _Stages(album)
    return MultiWorker(
        vehicles=(stages.vehicles, "item"),
        colors=(stages.colors, "item", "vehicles"),
        tags=(stages.tags, "item", "vehicles", "colors"),
    )


class _Plates(NamedTuple):
    """The positions of plates in an original with this modification time."""

    modified: int
    boxes: list[Box]


class _Stages(NamedTuple):
    album: Album

    def plates(self, image: str) -> _Plates:
        modified = Path(image).stat().st_mtime_ns
        return _Plates(modified, find_plates(read(Path(image)).pixels))

    def blurred(self, image: str, plates: _Plates) -> str:
        picture = read(Path(image))
        with self.album.new_copy(image, plates.modified) as partial:
            write(picture._replace(pixels=blur(picture.pixels, plates.boxes)), partial)
        return image

    def vehicles(self, image: str) -> list[Vehicle]:
        return find_vehicles(read(self.album.copy(image)).pixels)

    def colors(self, image: str, vehicles: Sequence[Vehicle]) -> list[str]:
        pixels = read(self.album.copy(image)).pixels
        return [color_of(pixels, vehicle.box) for vehicle in vehicles]

    def tags(self, image: str, vehicles: Sequence[Vehicle], colors: Sequence[str]) -> Tags:
        return Tags(self.album.name(image), _counted(vehicle.type for vehicle in vehicles), _counted(colors))


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
