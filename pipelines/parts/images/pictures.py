"""Images as arrays of pixels: reading reports every kind of broken file, writing keeps nothing but the pixels."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beam_patterns.transforms.work import PermanentError

__all__ = ["BrokenImageError", "Picture", "read", "write"]

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92}, "WEBP": {"quality": 92}}


class BrokenImageError(PermanentError):
    """A file that is not an image, or is damaged, with the reason."""


class Picture(NamedTuple):
    """Pixels of an upright image, by height, width and (red, green, blue)."""

    pixels: Any
    format: str


def read(path: Path) -> Picture:
    """The image; raises BrokenImageError. Errors of the file system, which may be temporary, are raised as they are."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=_FORMATS) as image:
                format_of_file = image.format or ""
                upright = ImageOps.exif_transpose(image).convert("RGB")
            return Picture(np.asarray(upright), format_of_file)
        except UnidentifiedImageError:
            raise BrokenImageError(f"the file is not a {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} image") from None
        except Exception as error:  # Decoders raise errors of many types: OSError, SyntaxError, struct.error ...
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise BrokenImageError(f"the image is broken: {error}") from error


def write(picture: Picture, path: Path) -> None:
    """Writes the pixels alone: metadata of a camera may contain a small image of what the blurring hides."""
    from PIL import Image

    Image.fromarray(picture.pixels).save(path, picture.format, **_OPTIONS.get(picture.format, {}))
