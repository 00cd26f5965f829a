"""Pictures as arrays: read with everything that could be wrong with a file, written without anything but the pixels."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beam_patterns.transforms.work import PermanentError

__all__ = ["BrokenImageError", "Picture", "read", "write"]

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92}, "WEBP": {"quality": 92}}

Pixels = "np.ndarray[Any, np.dtype[np.uint8]]"


class BrokenImageError(PermanentError):
    """What is no image, or no longer, with the reason."""


class Picture(NamedTuple):
    """Height times width times red, green, blue; upright."""

    pixels: Any
    format: str


def read(path: Path) -> Picture:
    """The picture, or a BrokenImageError; an error of the file system, perhaps for a moment, stays what it is."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=_FORMATS) as image:
                kind = image.format or ""
                upright = ImageOps.exif_transpose(image).convert("RGB")
            return Picture(np.asarray(upright), kind)
        except UnidentifiedImageError:
            raise BrokenImageError(f"no image that can be read: it is none of {', '.join(_FORMATS)}") from None
        except Exception as error:  # Decoders raise whatever they like: OSError, SyntaxError, struct.error ...
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise BrokenImageError(f"the image is broken: {error}") from error


def write(picture: Picture, path: Path) -> None:
    """The pixels alone: what a camera notes beside them may hold a small picture of what was to be hidden."""
    from PIL import Image

    Image.fromarray(picture.pixels).save(path, picture.format, **_OPTIONS.get(picture.format, {}))
