"""How what is made gets to its place: whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_partial", "replaced_file", "replaced_folder"]


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """A file to write that takes its place when it is complete.

    It has always the same name, so that what a killed attempt left is overwritten.
    """
    partial = final.with_name(f".{final.stem}.partial{final.suffix}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, final)  # noqa: PTH105 (Path.replace says the same)
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file was being written for `replaced_file` when a run was killed."""
    return path.name.startswith(".") and path.stem.endswith(".partial")


@contextmanager
def replaced_folder(final: Path) -> Iterator[Path]:
    """A folder to fill that takes its place when it is complete; a kill in between leaves the old one, or none."""
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
