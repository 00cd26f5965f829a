"""A pipeline's file, started by its path, runs as the module it is."""

import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

__all__ = ["hush_imports", "module_at", "run_as_module"]

#: What Beam says when it is imported beside google-cloud-pubsub but without its gcp extra, and of a Prism that it
#: starts and ends. Nothing is wrong.
_NOISE = ("Failed to import GCSFileSystem", "apitools not found", "Really starting", "Really destroying")


def run_as_module(path: str, package: str = "beam_patterns.pipelines") -> NoReturn:
    """Runs the module that the file at `path` is instead of the file, and ends the process with its exit code.

    Args:
        path: the file's own `__file__`.
        package: the installed package that it belongs to; empty for a file by itself, which is the module of its name.
    """
    hush_imports()
    if not package:
        raise SystemExit(module_at(path).run(sys.argv[1:]))
    # Python put the file's folder first, where our modules would hide others of the same name.
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != Path(path).absolute().parent]
    module = importlib.import_module(f"{package}.{Path(path).stem}")
    raise SystemExit(module.run(sys.argv[1:]))


def module_at(path: str) -> ModuleType:
    """The module that a file outside of any package is; a ValueError if there is none, or another of its name."""
    file = Path(path).absolute()
    if not file.is_file():
        raise ValueError(f"there is no file {path!r}")
    if sys.path[:1] != [str(file.parent)]:
        sys.path.insert(0, str(file.parent))  # As Python does itself; workers are given this path too.
    try:
        module = importlib.import_module(file.stem)
    except ValueError as error:  # Not one of ours, which are a sentence to people.
        raise ImportError(f"{path} can't be imported: {error}") from error
    found = getattr(module, "__file__", None)
    if found is None or not file.samefile(found):
        raise ValueError(f"{path!r} has the name of another module, {found or 'one of Python'}; rename the file")
    return module


def hush_imports() -> None:
    """Keeps Beam's import noise from people; everything else is logged as ever."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_no_noise)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])


def _is_no_noise(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)
