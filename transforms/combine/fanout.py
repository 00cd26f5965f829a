"""The fan-out of hot keys: their values are merged in several places first, then in one."""

import copy
import random
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.trigger import AccumulationMode
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Tuple


class FannedOut(beam.PTransform):
    """Like CombinePerKey(...).with_hot_key_fanout(...), which loses late elements: its inner windows allow no lateness.

    In: PCollection[Tuple[K, V]].
    Out: the output of CombinePerKey.
    """

    def __init__(self, merge: beam.CombineFn, fanout: int | Callable[[Any], int]) -> None:
        super().__init__()
        self._merge, self._fanout = merge, fanout

    def expand(self, pairs: PCollection) -> PCollection:
        key, value = getattr(pairs.element_type, "tuple_types", None) or (AnyType, AnyType)
        spread = beam.ParDo(_Spread(self._fanout)).with_output_types(Tuple[Tuple[int, key], value])
        places = pairs | "Spread" >> spread
        places._windowing = copy.copy(pairs.windowing)
        # An accumulated part that fires again would count twice.
        places._windowing.accumulation_mode = AccumulationMode.DISCARDING
        parts = places | "Parts" >> beam.CombinePerKey(_Parts(self._merge))
        gather = beam.Map(lambda pair: (pair[0][1], pair[1])).with_output_types(Tuple[key, AnyType])
        gathered = parts | "Gather" >> gather
        gathered._windowing = pairs.windowing
        return gathered | "Whole" >> beam.CombinePerKey(_Whole(self._merge))


class _Spread(beam.DoFn):
    def __init__(self, fanout: int | Callable[[Any], int]) -> None:
        self._fanout = fanout

    def start_bundle(self) -> None:
        self._place = random.getrandbits(31)  # One per bundle, whose values of a key are merged before the shuffle.

    def process(self, pair: Any) -> Any:
        key, value = pair
        places = self._fanout(key) if callable(self._fanout) else self._fanout
        return (((self._place % max(places, 1), key), value),)


class _Parts(beam.CombineFn):
    """Merges values into an accumulator, which is the output."""

    def __init__(self, merge: beam.CombineFn) -> None:
        self._merge = merge
        for name in ("setup", "create_accumulator", "merge_accumulators", "compact", "teardown"):
            setattr(self, name, getattr(merge, name))

    def add_input(self, accumulator: Any, value: Any) -> Any:
        return self._merge.add_input(accumulator, value)

    def extract_output(self, accumulator: Any) -> Any:
        return accumulator


class _Whole(_Parts):
    """Merges accumulators."""

    def add_input(self, accumulator: Any, part: Any) -> Any:
        return self._merge.merge_accumulators([accumulator, part])

    def extract_output(self, accumulator: Any) -> Any:
        return self._merge.extract_output(accumulator)
