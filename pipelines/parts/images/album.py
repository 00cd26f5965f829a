"""Where originals and their blurred copies lie, and how it is known that a copy is whole and of its original."""

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
    """An original that was replaced while it was worked on: the next run takes it anew."""


class Album(NamedTuple):
    """Originals below `root`, each with a copy of the same name in OUTPUT/blurred, which has the original's own time.

    An image is known by the path of its original, also when that is deleted.
    """

    root: str
    output: str

    def name(self, image: str) -> str:
        """For people.

        >>> Album("/images", "/out").name("/images/2026/a.png")
        '2026/a.png'
        """
        return Path(image).relative_to(self.root).as_posix()

    def copy(self, image: str) -> Path:
        """The blurred copy's path."""
        return Path(self.output, _COPIES, self.name(image))

    def is_blurred(self, image: str) -> bool:
        """Whether there is a copy of the image as it is now, or as it was when it was deleted."""
        copied, now = _time(self.copy(image)), _time(Path(image))
        return copied is not None and now in (copied, None)

    def images_of_copies(self) -> Iterator[str]:
        """Those that have a copy, deleted ones included."""
        folder = Path(self.output, _COPIES)
        for path in folder.rglob("*"):
            if path.is_file() and not is_partial(path):
                yield str(Path(self.root, path.relative_to(folder)))

    @contextmanager
    def new_copy(self, image: str, modified: int) -> Iterator[Path]:
        """A file to write that becomes the copy of an original of that time, whole and safe from a power cut."""
        final = self.copy(image)
        with replaced_file(final) as partial:
            yield partial
            os.utime(partial, ns=(modified, modified))
            make_durable(str(partial))
            if _time(Path(image)) != modified:
                raise ChangedError("it was replaced by another image during the work; run this once more")
        make_durable(str(final.parent))

    def delete_original(self, image: str) -> None:
        """Deletes an original that has its copy; one that was put in its place meanwhile stays."""
        if not self.is_blurred(image):
            raise ChangedError("there is no blurred copy of this image as it is now, so it stays; run this once more")
        Path(image).unlink(missing_ok=True)


def _time(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
