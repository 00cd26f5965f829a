"""What has been done already, over runs."""

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .items import identity

__all__ = ["DoneMarkers"]


class DoneMarkers:
    """A done check that remembers each item by an empty file, made when its work has succeeded.

    >>> import tempfile
    >>> from beam_patterns.transforms.work import DoneMarkers
    >>> done = DoneMarkers(tempfile.mkdtemp())
    >>> done("order 1"), done.mark("order 1"), done("order 1")
    (False, None, True)

    For work whose effect is outside the pipeline: a message sent, a file written. What flows on to later steps is not
    made again for an item that is marked, not even when the run was killed before those steps had it; where results
    flow on, let the check look for what the last step writes.

    Args:
        folder: where the markers are; on a file system that all workers share.
        key: what makes two items the same, a function of the item to text; else its message id, or its JSON.
    """

    def __init__(self, folder: str | os.PathLike[str], key: Callable[[Any], str] = identity) -> None:
        self._folder, self._key = Path(folder), key

    def __call__(self, item: Any) -> bool:
        """Whether the item is marked."""
        return self._place(item).exists()

    def mark(self, item: Any) -> None:
        """Marks the item: creating an empty file is atomic."""
        place = self._place(item)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()

    def _place(self, item: Any) -> Path:
        name = blake2b(self._key(item).encode("utf-8", "replace"), digest_size=16).hexdigest()
        return self._folder / name[:2] / name
