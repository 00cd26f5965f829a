"""A pipeline's file, started by its path, runs as the module it is."""

import importlib
import logging
import sys
from pathlib import Path
from typing import NoReturn

__all__ = ["hush_imports", "run_as_module"]

#: What Beam says when it is imported beside google-cloud-pubsub but without its gcp extra, and of a Prism that it
#: starts and ends. Nothing is wrong.
_NOISE = ("Failed to import GCSFileSystem", "apitools not found", "Really starting", "Really destroying")


def run_as_module(path: str) -> NoReturn:
    """Runs `beam_patterns.pipelines.NAME` instead of the file at `path`, and ends the process with its exit code."""
    hush_imports()
    # Python put the file's folder first, where our modules would hide others of the same name.
    sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != Path(path).absolute().parent]
    module = importlib.import_module(f"beam_patterns.pipelines.{Path(path).stem}")
    raise SystemExit(module.run(sys.argv[1:]))


def hush_imports() -> None:
    """Keeps Beam's import noise from people; everything else is logged as ever."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_no_noise)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])


def _is_no_noise(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)
