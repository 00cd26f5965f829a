"""The step before the shuffle: elements become pairs (key, value), and batches are reduced."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from ..base.batches import rows_of
from ..base.guard import DEAD, Guard, GuardedStep, OneByOne
from .merge import Collector, Merge

_MAX_GROUPS = 500_000


class Pair:
    """Makes a pair (key, checked value) of an element. Pickled to the workers."""

    def __init__(self, key: Any, value: Any, view: Any, merge: Any) -> None:
        self.key, self.value, self.view, self.merge = key, value, view, merge

    def __call__(self, element: Any) -> tuple[Any, Any]:
        viewed = element if self.view is None else self.view(element)
        key, value = viewed if self.key is None else (self.key(viewed), viewed)
        value = value if self.value is None else self.value(viewed)
        return key, self.merge.check(value) if isinstance(self.merge, Merge) else value

    def reduced(self, values: list[Any]) -> list[Any]:
        """Several values as one; a CombineFn of the user's needs all of them."""
        return [self.merge.merged(values)] if isinstance(self.merge, Merge) else values

    def collector(self) -> Collector | None:
        """The reducer of Arrow tables by columns; None if rows are needed."""
        if self.key is None or self.value is None or self.view is not None or not isinstance(self.merge, Merge):
            return None
        return self.merge.collector(self.key, self.value)


class PairElements(OneByOne):
    """Makes pairs one by one, and drops those without a value."""

    def _drops(self, result: Any) -> bool:
        return result[1] is None


class PairLists(GuardedStep):
    """Makes the pairs of a list, with each key's values merged."""

    def __init__(self, guard: Guard, pair: Pair, element_type: Any, batch_type: Any) -> None:
        super().__init__(guard)
        self._pair, self._element_type, self._input_batches = pair, element_type, batch_type

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Any) -> Iterator[Any]:
        yield from self._reduced(batch)

    def _reduced(self, batch: Sequence[Any]) -> Iterator[Any]:
        began, groups = perf_counter(), defaultdict[Any, list[Any]](list)
        pairs, letters, _ = self._guard.results(map(self._pair, batch), batch)
        moved = 0
        for key, value in pairs:
            if value is not None:
                groups[key].append(value)
                moved += 1
        self._guard.measure(len(batch), moved, len(letters), began)
        yield from (TaggedOutput(DEAD, letter) for letter in letters)
        for key, values in groups.items():
            yield from ((key, value) for value in self._pair.reduced(values))


class PairTables(PairLists):
    """Reduces Arrow tables by columns until the bundle ends; row by row if a function needs rows."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._collectors: dict[Any, tuple[Collector, Any]] = {}

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        if not self._collected(batch, timestamp, window):
            yield from self._reduced(rows_of(batch, self._element_type))
        elif self._collectors[window][0].size() > _MAX_GROUPS:  # Too many keys to hold in memory.
            yield from self._collectors.pop(window)[0].pairs()

    def _collected(self, table: pa.Table, timestamp: Any, window: Any) -> bool:
        collector, _ = self._collectors.get(window) or (self._pair.collector(), None)
        if collector is None:
            return False
        began = perf_counter()
        try:
            keys, values = self._pair.key.columns(table), self._pair.value.columns(table)
            if keys is None or values is None:
                return False
            moved = collector.add(keys, values)
        except Exception:  # By columns a whole table fails; row by row the cause is found.
            return False
        self._collectors[window] = collector, timestamp
        self._guard.measure(table.num_rows, moved, 0, began)
        return True

    def finish_bundle(self) -> Iterator[Any]:
        for window, (collector, timestamp) in self._collectors.items():
            for pair in collector.pairs():
                yield WindowedValue(pair, timestamp, (window,))
        self._collectors = {}
