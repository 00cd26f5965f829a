"""A done check that remembers finished items from run to run."""

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .items import identity

__all__ = ["DoneMarkers"]


class DoneMarkers:
    """A done check for WorkQueue that keeps an empty file for each item whose work has succeeded.

    ```
    item --> marked? --yes--> skipped
                 |
                 +--no--> work --succeeds--> mark
    ```

    >>> import tempfile
    >>> from beam_patterns.transforms.work import DoneMarkers
    >>> done = DoneMarkers(tempfile.mkdtemp())
    >>> done("order 1"), done.mark("order 1"), done("order 1")
    (False, None, True)

    Use it for work whose effect is outside the pipeline, such as a message sent or a file written: a marked item has
    no result in a later run, even if the first run was killed before later steps had the result. If later steps need
    the results, write a check that looks for the output of the last step.

    Args:
        folder: the folder of the markers, on a file system that all workers share.
        key: a function of the item that returns its identity as text, by default the message id, or a hash of the
            item's JSON.

    In: an item.
    Out: whether it is marked.
    Failure: an error of the file system, or in `key`, fails the item's attempt.
    Source: Burns, Designing Distributed Systems, chapter 10.
    """

    def __init__(self, folder: str | os.PathLike[str], key: Callable[[Any], str] = identity) -> None:
        self._folder, self._key = Path(folder), key

    def __call__(self, item: Any) -> bool:
        """Whether the item is marked."""
        return self._marker(item).exists()

    def mark(self, item: Any) -> None:
        """Marks the item, atomically."""
        marker = self._marker(item)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def _marker(self, item: Any) -> Path:
        name = blake2b(self._key(item).encode("utf-8", "replace"), digest_size=16).hexdigest()
        return self._folder / name[:2] / name
