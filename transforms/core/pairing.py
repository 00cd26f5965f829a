"""Elements become pairs (key, value), in the form they come in; batches are reduced before the shuffle."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import registry
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from ..dead_letters import DeadLetter
from .breaker import Breaker, Failures
from .columns import Picked
from .counters import step_counters
from .operation import Collector, Operation
from .routing import ElementError, rows_of, shortened
from .times import Times

__all__ = ["DEAD", "Pairing", "pair_form"]

DEAD = "dead-letters"
_MAX_GROUPS = 500_000


@dataclasses.dataclass
class Pairing:
    """How an element becomes a pair, with the guard around user code. Pickled to the workers."""

    key: Picked | None
    value: Picked | None
    view: Callable[[Any], Any] | None
    guarded: bool
    breaker: Breaker | None
    step: str
    pattern: str
    element_type: Any

    def __init__(self, pattern: Any, element_type: Any) -> None:
        self.key, self.value, self.view = pattern._key, pattern._value, pattern._view
        self.guarded, self.breaker = pattern._handler is not None, pattern._breaker
        self.step, self.pattern, self.element_type = pattern.label, type(pattern).__name__, element_type

    def pair(self, element: Any, check: Callable[[Any], Any]) -> tuple[Any, Any]:
        seen = element if self.view is None else self.view(element)
        if self.key is None:
            key, value = seen
        else:
            key, value = self.key(seen), seen
        return key, check(value if self.value is None else self.value(seen))

    def failed(self, element: Any, error: Exception) -> TaggedOutput:
        if self.guarded:
            coder = registry.get_coder(self.element_type)
            letter = DeadLetter.of(element, error, step=self.step, coder=coder)
            return TaggedOutput(DEAD, letter)
        raise ElementError(
            f"{self.step}: key or value raised {type(error).__name__}: {error}, on {shortened(element)}. "
            "Add .with_error_handler(...) to send such elements to a dead-letter queue."
        ) from error


class _Form(beam.DoFn):
    def __init__(self, pairing: Pairing, operation: Any, batch_type: Any) -> None:
        self._pairing, self._operation, self._batch_type = pairing, operation, batch_type
        ours = isinstance(operation, Operation)
        self._check = operation.check if ours else _anything
        self._gather = operation.gather if ours else _nothing

    def setup(self) -> None:
        breaker = self._pairing.breaker
        self._failures = Failures(breaker, self._pairing.step) if breaker else None

    def start_bundle(self) -> None:
        counters = step_counters(self._pairing.pattern, ("in", "out", "dropped", "dead"))
        self._in, self._out, self._dropped, self._dead = counters
        self._times = Times()

    def _failed(self, element: Any, error: Exception, at: int) -> TaggedOutput:
        letter = self._pairing.failed(element, error)
        if self._failures is not None:
            self._failures.note(letter.value, at)
        return letter

    def _count(self, total: int, moved: int, dead: int) -> None:
        if self._failures is not None:
            self._failures.passed(total)
        self._in.inc(total)
        self._out.inc(moved)
        self._dropped.inc(total - moved - dead)
        self._dead.inc(dead)


class _Elements(_Form):
    """One by one; what was counted is handed over once per bundle."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._next_pair = self._times.sampling(self._pair)
        self._total = self._moved = self._letters = 0

    def _pair(self, element: Any) -> tuple[Any, Any]:
        return self._pairing.pair(element, self._check)

    def process(self, element: Any) -> Any:
        self._total += 1
        try:
            pair = self._next_pair()(element)
        except Exception as error:
            letter = self._failed(element, error, self._total)
            self._letters += 1
            return (letter,)
        if pair[1] is None:
            return ()
        self._moved += 1
        return (pair,)

    def finish_bundle(self) -> None:
        self._count(self._total, self._moved, self._letters)


class _Lists(_Form):
    """A list at a time, each key's values merged at once."""

    def get_input_batch_type(self, unused_input_type: Any) -> Any:
        return self._batch_type

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Any) -> Iterator[Any]:
        yield from self._reduced(batch)

    def _reduced(self, batch: Sequence[Any]) -> Iterator[Any]:
        began, groups = perf_counter(), defaultdict[Any, list[Any]](list)
        moved = dead = 0
        for element in batch:
            try:
                key, value = self._pairing.pair(element, self._check)
                if value is not None:
                    groups[key].append(value)
                    moved += 1
            except Exception as error:
                yield self._failed(element, error, moved + dead)
                dead += 1
        self._count(len(batch), moved, dead)
        self._times.note(perf_counter() - began, len(batch))
        for key, values in groups.items():
            merged = self._gather(values)
            if merged is None:
                yield from ((key, value) for value in values)
            else:
                yield key, merged


class _Tables(_Lists):
    """Arrow tables, reduced by columns for as long as the bundle lasts; rows where a function must see them."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._collectors: dict[Any, tuple[Collector, Any]] = {}

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        if not self._collected(batch, timestamp, window):
            yield from self._reduced(rows_of(batch, self._pairing.element_type))
        elif self._collectors[window][0].size > _MAX_GROUPS:  # More keys than memory should hold.
            yield from self._collectors.pop(window)[0].pairs()

    def _collected(self, table: pa.Table, timestamp: Any, window: Any) -> bool:
        key, value = self._pairing.key, self._pairing.value
        if key is None or value is None or self._pairing.view is not None or not isinstance(self._operation, Operation):
            return False
        collector, _ = self._collectors.get(window) or (self._operation.collector(key, value), None)
        if collector is None:
            return False
        began = perf_counter()
        try:
            keys, values = key.columns(table), value.columns(table)
            if keys is None or values is None:
                return False
            moved = collector.add(keys, values)
        except Exception:  # By columns a batch fails as a whole; row by row the culprit is found.
            return False
        self._collectors[window] = collector, timestamp
        self._count(table.num_rows, moved, 0)
        self._times.note(perf_counter() - began, table.num_rows)
        return True

    def finish_bundle(self) -> Iterator[Any]:
        for window, (collector, timestamp) in self._collectors.items():
            for pair in collector.pairs():
                yield WindowedValue(pair, timestamp, [window])
        self._collectors = {}


def pair_form(batch_type: Any) -> type[_Form]:
    """The DoFn for the form data comes in."""
    if batch_type is None:
        return _Elements
    return _Tables if batch_type is pa.Table else _Lists


def _anything(value: Any) -> Any:
    return value


def _nothing(values: list[Any]) -> None:
    return None
