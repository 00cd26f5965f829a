"""The path that a queue's URI names."""

from pathlib import Path

from ...base.files import has_wildcards, is_local
from ..uri import QueueUri

__all__ = ["path_of"]


def path_of(uri: QueueUri) -> str:
    """The path that a URI names, also for workers in another folder; a ValueError for what no file can have."""
    if "?group=" in uri.text or "group" in uri.params:
        raise ValueError(f"the queue {uri.text} is a file, which is always read whole; leave the group away")
    uri.only("items")
    if uri.text.startswith("file://") and not uri.path.startswith("/"):
        raise ValueError(f"the queue {uri.text} needs an absolute path with three slashes: file:///{uri.path}")
    if uri.path.startswith("/") or not is_local(uri.path):
        return uri.path
    here = str(Path.cwd())
    return uri.path if has_wildcards(here) else f"{here}/{uri.path.removeprefix('./')}"  # With signs it were a pattern.
