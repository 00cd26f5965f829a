"""Elements by key, for patterns with state, with a guard around the key function."""

from collections.abc import Callable
from typing import Any

from apache_beam.pvalue import PCollection
from apache_beam.typehints import Tuple

from .guard import Guard, OneByOne, apply_guarded
from .hints import return_type
from .pattern import Pattern

__all__ = ["keyed"]


def keyed(
    pattern: Pattern[Any, Any],
    elements: PCollection,
    key: Callable[[Any], Any],
    value: Callable[[Any], Any],
    value_type: Any,
    label: str = "Key",
) -> PCollection:
    """Pairs of key and value. An element on which `key` or `value` raises goes to the pattern's error handler."""
    guard = Guard(pattern, elements.element_type, "its key", counters=("in", "dead"))
    pair_type = Tuple[return_type(key, elements.element_type), value_type]
    fn = OneByOne(guard, lambda element: (key(element), value(element)))
    return apply_guarded(pattern, elements, fn, {"pairs": pair_type}, verb=label, label="Pairs")[0]
