"""Runs a pipeline's file, started by its path, as the module that it is."""

import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

__all__ = ["hush_imports", "module_at", "run_as_module"]

#: What Beam logs when it is imported beside google-cloud-pubsub without its gcp extra, and when it starts and ends
#: Prism. Nothing is wrong.
_NOISE = ("Failed to import GCSFileSystem", "apitools not found", "Really starting", "Really destroying")


def run_as_module(path: str, package: str = "beam_patterns.pipelines") -> NoReturn:
    """Runs the file at `path` as the module that it is, and ends the process with its exit code.

    Args:
        path: the file's own `__file__`.
        package: the installed package that the file belongs to; empty for a file on its own.
    """
    hush_imports()
    if not package:
        raise SystemExit(module_at(path).run(sys.argv[1:]))
    # Python put the file's folder first, where our modules would hide others with the same name.
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != Path(path).absolute().parent]
    module = importlib.import_module(f"{package}.{Path(path).stem}")
    raise SystemExit(module.run(sys.argv[1:]))


def module_at(path: str) -> ModuleType:
    """The module of a file outside of packages. Raises ValueError for a missing file or a name already taken."""
    file = Path(path).absolute()
    if not file.is_file():
        raise ValueError(f"the file {path!r} does not exist")
    if sys.path[:1] != [str(file.parent)]:
        sys.path.insert(0, str(file.parent))  # As Python does itself; workers get this path too.
    try:
        module = importlib.import_module(file.stem)
    except ValueError as error:  # Ours are sentences for people; this one is not.
        raise ImportError(f"{path} can't be imported: {error}") from error
    found = getattr(module, "__file__", None)
    if found is None or not file.samefile(found):
        raise ValueError(f"{path!r} has the name of another module, {found or 'one of Python'}; rename the file")
    return module


def hush_imports() -> None:
    """Hides Beam's log records about imports; everything else is logged as usual."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_relevant)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])


def _is_relevant(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)
