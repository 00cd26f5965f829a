"""Folders that are written completely or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replaced_folder"]


@contextmanager
def replaced_folder(final: Path) -> Iterator[Path]:
    """Yields a folder to fill, which replaces `final` when it is complete.

    A run that is killed meanwhile leaves the old folder, or none.
    """
    partial, old = (final.with_name(f".{final.name}.{state}") for state in ("partial", "old"))
    _remove(partial, old)
    partial.mkdir(parents=True)
    try:
        yield partial
        if final.exists():
            final.rename(old)
        partial.rename(final)
    finally:
        _remove(partial, old)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
