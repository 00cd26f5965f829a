"""The fan-out of hot keys: their values are merged in several places first, then in one."""

import copy
import random
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.trigger import AccumulationMode
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Tuple

__all__ = ["FannedOut"]


class FannedOut(beam.PTransform):
    """Like CombinePerKey(...).with_hot_key_fanout(...), which loses late elements: its inner windows allow no lateness.

    In: PCollection[Tuple[K, V]].
    Out: the output of CombinePerKey.
    """

    def __init__(self, merge: beam.CombineFn, fanout: int | Callable[[Any], int]) -> None:
        super().__init__()
        self._merge, self._fanout = merge, fanout

    def expand(self, pairs: PCollection) -> PCollection:
        """One pair per key."""
        key, value = getattr(pairs.element_type, "tuple_types", None) or (AnyType, AnyType)
        spread = beam.ParDo(_Spread(self._fanout)).with_output_types(Tuple[Tuple[int, key], value])
        places = pairs | "Spread" >> spread
        places._windowing = _discarding(pairs.windowing)
        parts = places | "Parts" >> beam.CombinePerKey(_Parts(self._merge))
        gathered = parts | "Gather" >> beam.MapTuple(_without_place).with_output_types(Tuple[key, AnyType])
        gathered._windowing = pairs.windowing
        return gathered | "Whole" >> beam.CombinePerKey(_Whole(self._merge))


def _discarding(windowing: Windowing) -> Windowing:
    """The same windowing without accumulation: an accumulated part that fires again would count twice."""
    discarding = copy.copy(windowing)
    discarding.accumulation_mode = AccumulationMode.DISCARDING
    return discarding


class _Spread(beam.DoFn):
    def __init__(self, fanout: int | Callable[[Any], int]) -> None:
        self._fanout = fanout

    def start_bundle(self) -> None:
        self._place = random.getrandbits(31)  # One per bundle, whose values of a key are merged before the shuffle.

    def process(self, pair: Any) -> Any:
        key, value = pair
        places = self._fanout(key) if callable(self._fanout) else self._fanout
        return (((self._place % max(places, 1), key), value),)


def _without_place(place_and_key: tuple[int, Any], part: Any) -> tuple[Any, Any]:
    return place_and_key[1], part


class _Parts(beam.CombineFn):
    """Merges values into an accumulator, which is the output."""

    def __init__(self, merge: beam.CombineFn) -> None:
        self._merge = merge

    def setup(self, *unused: Any, **also_unused: Any) -> None:
        self._merge.setup()

    def create_accumulator(self) -> Any:
        return self._merge.create_accumulator()

    def add_input(self, accumulator: Any, element: Any) -> Any:
        return self._merge.add_input(accumulator, element)

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        return self._merge.merge_accumulators(accumulators)

    def compact(self, accumulator: Any) -> Any:
        return self._merge.compact(accumulator)

    def extract_output(self, accumulator: Any) -> Any:
        return accumulator

    def teardown(self, *unused: Any, **also_unused: Any) -> None:
        self._merge.teardown()


class _Whole(_Parts):
    """Merges accumulators."""

    def add_input(self, accumulator: Any, part: Any) -> Any:
        return self._merge.merge_accumulators([accumulator, part])

    def extract_output(self, accumulator: Any) -> Any:
        return self._merge.extract_output(accumulator)
