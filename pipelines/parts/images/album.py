"""Originals and their blurred copies, and how a copy is recognised as complete and up to date."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from beam_patterns.transforms.extend import is_partial, make_durable, replaced_file
from beam_patterns.transforms.work import PermanentError

__all__ = ["Album", "ChangedError"]

_COPIES = "blurred"


class ChangedError(PermanentError):
    """An original that was replaced during the work: the next run works on the new one."""


class Album(NamedTuple):
    """Originals below `root`, each with a copy of the same name and modification time in OUTPUT/blurred.

    The path of the original names an image, even when the original is deleted.
    """

    root: str
    output: str

    def name(self, image: str) -> str:
        """The image's name for people.

        >>> Album("/images", "/out").name("/images/2026/a.png")
        '2026/a.png'
        """
        return Path(image).relative_to(self.root).as_posix()

    def copy(self, image: str) -> Path:
        """The path of the blurred copy."""
        return Path(self.output, _COPIES, self.name(image))

    def is_blurred(self, image: str) -> bool:
        """Whether there is a copy of the image as it is now, or as it was when it was deleted."""
        copied, now = _modified(self.copy(image)), _modified(Path(image))
        return copied is not None and now in (copied, None)

    def images_of_copies(self) -> Iterator[str]:
        """The images that have a copy, deleted ones included."""
        folder = Path(self.output, _COPIES)
        for path in folder.rglob("*"):
            if path.is_file() and not is_partial(path):
                yield str(Path(self.root, path.relative_to(folder)))

    @contextmanager
    def new_copy(self, image: str, modified: int) -> Iterator[Path]:
        """Yields a file to write, which becomes the durable copy of an original with this modification time.

        Raises ChangedError if the original has another time by then.
        """
        final = self.copy(image)
        with replaced_file(final) as partial:
            yield partial
            os.utime(partial, ns=(modified, modified))
            make_durable(str(partial))
            if _modified(Path(image)) != modified:
                raise ChangedError("another image replaced this one during the work; run the pipeline again")
        make_durable(str(final.parent))

    def delete_original(self, image: str) -> None:
        """Deletes an original that has its copy; raises ChangedError for a new original in its place, which stays."""
        if not self.is_blurred(image):
            raise ChangedError("this image stays: its present version has no blurred copy; run the pipeline again")
        Path(image).unlink(missing_ok=True)


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
