"""The work of image_tagging: the stages of its two multi-workers, and the deletion of originals."""

from collections import Counter
from collections.abc import Iterable, Sequence
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


class Plates(NamedTuple):
    """The positions of plates in an original with this modification time."""

    modified: int
    boxes: list[Box]


class Deleter(NamedTuple):
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
    return MultiWorker(plates=_detect_plates, blurred=(_Blur(album), "item", "plates"))


def tagger(album: Album) -> MultiWorker:
    """A worker from an image to its Tags, which reads the blurred copy only."""
    return MultiWorker(
        vehicles=(_DetectVehicles(album), "item"),
        colors=(_DetectColors(album), "item", "vehicles"),
        tags=(_Tag(album), "item", "vehicles", "colors"),
    )


def _detect_plates(image: str) -> Plates:
    modified = Path(image).stat().st_mtime_ns
    return Plates(modified, find_plates(read(Path(image)).pixels))


class _Blur(NamedTuple):
    album: Album

    def __call__(self, image: str, plates: Plates) -> str:
        picture = read(Path(image))
        with self.album.new_copy(image, plates.modified) as partial:
            write(picture._replace(pixels=blur(picture.pixels, plates.boxes)), partial)
        return image


class _DetectVehicles(NamedTuple):
    album: Album

    def __call__(self, image: str) -> list[Vehicle]:
        return find_vehicles(read(self.album.copy(image)).pixels)


class _DetectColors(NamedTuple):
    album: Album

    def __call__(self, image: str, vehicles: Sequence[Vehicle]) -> list[str]:
        pixels = read(self.album.copy(image)).pixels
        return [color_of(pixels, vehicle.box) for vehicle in vehicles]


class _Tag(NamedTuple):
    album: Album

    def __call__(self, image: str, vehicles: Sequence[Vehicle], colors: Sequence[str]) -> Tags:
        return Tags(self.album.name(image), _counted(vehicle.type for vehicle in vehicles), _counted(colors))


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
