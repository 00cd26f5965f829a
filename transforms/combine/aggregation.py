"""The base of Reduce, Sum and Histogram: elements become pairs (key, value), whose values are merged."""

from collections.abc import Callable
from typing import Any, Self

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Tuple

from ..base.batches import batch_type_of
from ..base.columns import Selection, Selector
from ..base.fan import FanIn, named_inputs, require_finite_windows
from ..base.guard import Guard, apply_guarded
from ..base.pattern import Stream, ViewedPattern
from .fanout import FannedOut
from .merge import Merge
from .precombine import Pair, PairElements, PairLists, PairTables


class Aggregation(FanIn, ViewedPattern[Any, Stream[tuple[Any, Any]]]):
    """A pattern that merges all values of a key into one."""

    _fanout: int | Callable[[Any], int] | None = None
    _key: Selector | None = None
    _value: Selector | None = None

    def with_fanout(self, fanout: int | Callable[[Any], int]) -> Self:
        """Spreads hot keys: merges a key's values in `fanout` places first (a number or a function of the key)."""
        if not callable(fanout) and not (isinstance(fanout, int) and fanout >= 1):
            raise ValueError(f"with_fanout needs a number of at least 1, or a function of the key, not {fanout!r}")
        return self._with(_fanout=fanout)

    def _select(self, value: Selection | None, key: Selection | None, advice: str) -> None:
        name = type(self).__name__
        if (value is None) != (key is None):
            raise ValueError(
                f"{name}(value={value!r}, key={key!r}) needs both, or neither for pairs (key, number); {advice}"
            )
        if value is not None and key is not None:
            self._value, self._key = Selector(value, f"{name}(value=...)"), Selector(key, f"{name}(key=...)")

    def _aggregate(self, inputs: Any, merge: Any) -> Stream:
        name = type(self).__name__
        streams = {"": inputs} if isinstance(inputs, PCollection) else named_inputs(inputs, name)
        require_finite_windows(streams, name)
        pairs = [self._paired(stream, merge, f"Pair {name}" if name else "Pair") for name, stream in streams.items()]
        gathered = pairs[0] if len(pairs) == 1 else tuple(pairs) | "Gather" >> beam.Flatten()
        once = beam.CombinePerKey(merge)
        totals = gathered | "Merge" >> (once if self._fanout is None else FannedOut(merge, self._fanout))
        key_type, value_type = self._types(next(iter(streams.values())).element_type)
        totals.element_type = Tuple[key_type, merge.result_type(value_type) if isinstance(merge, Merge) else AnyType]
        return totals

    def _paired(self, stream: PCollection, merge: Any, verb: str) -> PCollection:
        guard = Guard(self, stream.element_type, "key or value")
        pair, batch_type = Pair(self._key, self._value, self._view, merge), batch_type_of(stream)
        form = PairTables if batch_type is pa.Table else PairLists
        fn = PairElements(guard, pair) if batch_type is None else form(guard, pair, stream.element_type, batch_type)
        key_type, value_type = self._types(stream.element_type)
        partial = merge.partial_type(value_type) if isinstance(merge, Merge) else value_type
        return apply_guarded(self, stream, fn, {"pairs": Tuple[key_type, partial]}, verb=verb, label="Pairs")[0]

    def _types(self, element_type: Any) -> tuple[Any, Any]:
        viewed = AnyType if self._view else element_type
        pair = getattr(viewed, "tuple_types", None) or (AnyType, AnyType)
        key = self._key.type_of(viewed) if self._key else pair[0]
        return key, self._value.type_of(viewed) if self._value else viewed if self._key else pair[1]
