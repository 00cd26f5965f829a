"""Elements by key, for patterns with state: the guard around the key function, and elements as bytes."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.coders import registry
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints import Tuple

from ..dead_letters import DeadLetter
from .breaker import Failures
from .columns import Picked
from .counters import step_counters
from .routing import ElementError, Pattern, shortened
from .times import Times

__all__ = ["DEAD", "keyed"]

DEAD = "dead-letters"


def keyed(
    pattern: Pattern,
    elements: PCollection,
    key: Callable[[Any], Any],
    value: Callable[[Any], Any],
    value_type: Any,
    label: str = "Key",
) -> PCollection:
    """Pairs of key and value; an element that has none of its own goes to the pattern's error handler."""
    step = beam.ParDo(_Key(pattern, key, value, elements))
    step.label = "Pairs"  # Else the class name would be a label.
    outputs = elements | label >> step.with_outputs(DEAD, main="pairs")
    outputs.pairs.element_type = Tuple[Picked(key, "key").type_of(elements.element_type), value_type]
    outputs[DEAD].element_type = DeadLetter
    if pattern._handler is not None:
        pattern._handler.add_error_pcollection(outputs[DEAD])
    return outputs.pairs


class _Key(beam.DoFn):
    def __init__(self, pattern: Pattern, key: Any, value: Any, elements: PCollection) -> None:
        self._key, self._value, self._step = key, value, pattern.label
        self._coder = registry.get_coder(elements.element_type)
        self._breaker = pattern._breaker
        self._guarded, self._pattern = pattern._handler is not None, type(pattern).__name__

    def setup(self) -> None:
        self._failures = Failures(self._breaker, self._step) if self._breaker else None

    def start_bundle(self) -> None:
        self._in, self._dead = step_counters(self._pattern, ("in", "dead"))
        self._next_pair = Times().sampling(self._pair)
        self._total = self._letters = 0

    def _pair(self, element: Any) -> tuple[Any, Any]:
        return self._key(element), self._value(element)

    def process(self, element: Any) -> Any:
        self._total += 1
        try:
            pair = self._next_pair()(element)
        except Exception as error:
            if not self._guarded:
                raise ElementError(
                    f"{self._step}: its key raised {type(error).__name__}: {error}, on {shortened(element)}. "
                    "Add .with_error_handler(...) to send such elements to a dead-letter queue."
                ) from error
            self._letters += 1
            letter = DeadLetter.of(element, error, step=self._step, coder=self._coder)
            if self._failures is not None:
                self._failures.note(letter, at=self._total)
            return (TaggedOutput(DEAD, letter),)
        return (pair,)

    def finish_bundle(self) -> None:
        if self._failures is not None:
            self._failures.passed(self._total)
        self._in.inc(self._total)
        self._dead.inc(self._letters)
