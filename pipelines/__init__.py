"""Ready pipelines, one file each, and what pipelines of your own are made of.

beam_yaml/ the patterns for pipelines in Beam YAML
cel/       conditions and keys given as text
cli/       the command line
parts/     what belongs to single flows: mail, files, video, images, sales, shipping, signup, telemetry, replay
report/    the page about a run
runtime/   options, running, progress and balance of every pipeline
"""

import importlib
from typing import TYPE_CHECKING, Any

from .cli.script import run_as_module

if TYPE_CHECKING:
    from .cel.expression import Expression
    from .cel.item import cases, condition, item_of, key
    from .cli.launch import launch, run_pipeline
    from .cli.metadata import metadata_of
    from .runtime.between import BetweenQueues, between
    from .runtime.options import (
        Options,
        any_source,
        duration,
        option,
        page,
        prefix,
        queue,
        queues,
        source,
        sources,
        switch,
    )
    from .runtime.queues import check_queues, is_idle, messages_of, prepared, same_queue
    from .runtime.run import Ended, Places

#: Where each name is. Importing Beam takes seconds, which a command such as `beam-patterns list` does without.
_MODULES = {
    "cel.expression": ("Expression",),
    "cel.item": ("cases", "condition", "item_of", "key"),
    "cli.launch": ("launch", "run_pipeline"),
    "cli.metadata": ("metadata_of",),
    "runtime.between": ("BetweenQueues", "between"),
    "runtime.options": (
        "Options",
        "any_source",
        "duration",
        "option",
        "page",
        "prefix",
        "queue",
        "queues",
        "source",
        "sources",
        "switch",
    ),
    "runtime.queues": ("check_queues", "is_idle", "messages_of", "prepared", "same_queue"),
    "runtime.run": ("Ended", "Places"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BetweenQueues",
    "Ended",
    "Expression",
    "Options",
    "Places",
    "any_source",
    "between",
    "cases",
    "check_queues",
    "condition",
    "duration",
    "is_idle",
    "item_of",
    "key",
    "launch",
    "messages_of",
    "metadata_of",
    "option",
    "page",
    "prefix",
    "prepared",
    "queue",
    "queues",
    "run_as_module",
    "run_pipeline",
    "same_queue",
    "source",
    "sources",
    "switch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
