"""What patterns, queue kinds and flows of your own are made of. docs/extending.md shows how."""

from .base.batches import batch_type_of
from .base.coders import RecordCoder
from .base.files import (
    FoundFile,
    files_in,
    find_files,
    has_wildcards,
    is_partial,
    make_durable,
    replaced_file,
)
from .base.guard import DEAD, Guard, GuardedStep, OneByOne, apply_guarded, shortened
from .base.mapping import map_elements
from .base.metrics import Progress, Times, step_counters
from .base.pattern import GuardedPattern, Pattern, ViewedPattern, single_input
from .base.routing import Router, route
from .base.runners import IN_PROCESS, LOCAL
from .queues.positions import positions_of, was_read, with_positions

__all__ = [
    "DEAD",
    "IN_PROCESS",
    "LOCAL",
    "FoundFile",
    "Guard",
    "GuardedPattern",
    "GuardedStep",
    "OneByOne",
    "Pattern",
    "Progress",
    "RecordCoder",
    "Router",
    "Times",
    "ViewedPattern",
    "apply_guarded",
    "batch_type_of",
    "files_in",
    "find_files",
    "has_wildcards",
    "is_partial",
    "make_durable",
    "map_elements",
    "positions_of",
    "replaced_file",
    "route",
    "shortened",
    "single_input",
    "step_counters",
    "was_read",
    "with_positions",
]
