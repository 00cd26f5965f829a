"""Elements by key, for patterns with state: a guarded key function, and elements as bytes."""

from collections.abc import Callable
from typing import Any

from apache_beam.pvalue import PCollection
from apache_beam.typehints import Tuple

from .columns import Selector
from .guard import Guard, OneByOne, apply_guarded

__all__ = ["keyed"]


def keyed(
    pattern: Any,
    elements: PCollection,
    key: Callable[[Any], Any],
    value: Callable[[Any], Any],
    value_type: Any,
    label: str = "Key",
) -> PCollection:
    """Pairs of key and value. An element on which `key` or `value` raises goes to the pattern's error handler."""
    guard = Guard(pattern, elements.element_type, "its key", counters=("in", "dead"))
    pair_type = Tuple[Selector(key, "key").type_of(elements.element_type), value_type]
    fn = OneByOne(guard, _Pair(key, value))
    return apply_guarded(pattern, elements, fn, {"pairs": pair_type}, verb=label, label="Pairs")[0]


class _Pair:
    def __init__(self, key: Callable[[Any], Any], value: Callable[[Any], Any]) -> None:
        self._key, self._value = key, value

    def __call__(self, element: Any) -> tuple[Any, Any]:
        return self._key(element), self._value(element)
