"""The merges of a histogram: into bins, or into a sketch of quantiles."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints import Union

from ..base.columns import Selector
from .bins import Bins, Quantiles, new_sketch
from .merge import Collector, Merge
from .sums import SumCollector


class _Distribution(Merge):
    #: Class of the results.
    kind: type

    def check(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if not isinstance(value, int | float | Decimal | Fraction):
            raise TypeError(f"the value {value!r} is neither a number nor a {self.kind.__name__}")
        return value

    def result_type(self, unused_value_type: Any) -> Any:
        return self.kind

    def partial_type(self, unused_value_type: Any) -> Any:
        return Union[int, float, self.kind]


class BinMerge(_Distribution):
    """Counts values between edges, exactly."""

    kind = Bins

    def __init__(self, edges: Sequence[Any]) -> None:
        self._edges = tuple(edges)
        if len(self._edges) < 2 or not all(a < b for a, b in pairwise(self._edges)):
            raise ValueError(
                f"Histogram(bins={edges!r}) needs at least two edges in ascending order, such as (0, 10, 100)"
            )

    def check(self, value: Any) -> Any:
        """The index of the value's bin; Bins stay as they are."""
        value = super().check(value)
        if isinstance(value, Bins) and value.edges != self._edges:
            raise ValueError(f"these bins have the edges {value.edges}, not {self._edges}")
        return value if value is None or isinstance(value, Bins) else bisect_right(self._edges, value)

    def collector(self, key: Selector, value: Selector) -> Collector:
        return _BinCollector(key.single, self._edges)

    def create_accumulator(self) -> list[Any]:
        return [0] * (len(self._edges) + 1)

    def add_input(self, counts: list[Any], value: Any) -> list[Any]:
        if isinstance(value, Bins):
            return [a + b for a, b in zip(counts, value.counts, strict=True)]
        counts[value] += 1
        return counts

    def merge_accumulators(self, accumulators: Any) -> list[Any]:
        return [sum(counts) for counts in zip(*accumulators, strict=True)]

    def extract_output(self, counts: list[Any]) -> Bins:
        return Bins(self._edges, tuple(counts))


class _BinCollector(Collector):
    """Counts rows per key and bin, by columns."""

    def __init__(self, single_key: bool, edges: tuple[Any, ...]) -> None:
        self._single, self._edges = single_key, edges
        self._counts = SumCollector(single_key=False, single_value=True)

    def size(self) -> int:
        return self._counts.size()

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        column = values[0]
        whole = pa.types.is_integer(column.type)
        if not whole and not pa.types.is_floating(column.type):
            raise TypeError(f"a column of {column.type} is counted by rows")
        kept = pc.is_valid(column) if whole else pc.fill_null(pc.invert(pc.is_nan(column)), False)
        numbers = column.filter(kept).to_numpy().astype(np.int64 if whole else np.float64, copy=False)
        places = np.searchsorted(_thresholds(self._edges, whole), numbers, side="right")
        ones = pa.chunked_array([pa.repeat(pa.scalar(1, pa.int64()), len(numbers))])
        return self._counts.add([*(key.filter(kept) for key in keys), pa.chunked_array([places])], [ones])

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        found: dict[Any, list[int]] = defaultdict(lambda: [0] * (len(self._edges) + 1))
        for (*parts, place), count in self._counts.pairs():
            found[parts[0] if self._single else tuple(parts)][place] = count
        for key, counts in found.items():
            yield key, Bins(self._edges, tuple(counts))


def _thresholds(edges: tuple[Any, ...], whole: bool) -> Any:
    """For each edge the least number of the column's kind that is not below it, so that nothing is rounded."""
    if whole:
        return np.array([math.ceil(edge) for edge in edges], np.int64)
    near = [(float(edge), edge) for edge in edges]
    return np.array([number if number >= edge else math.nextafter(number, math.inf) for number, edge in near])


class SketchMerge(_Distribution):
    """Sketches quantiles within an error."""

    kind = Quantiles

    def __init__(self, error: float) -> None:
        if not isinstance(error, float) or not 0.0001 <= error < 1:
            raise ValueError(f"Histogram(relative_error={error!r}) must be between 0.0001 and 1, such as 0.01 for 1 %")
        self._error = error

    def check(self, value: Any) -> Any:
        value = super().check(value)
        return value if value is None or isinstance(value, Quantiles) else float(value)

    def collector(self, key: Selector, value: Selector) -> Collector:
        return _SketchCollector(key.single, self._error)

    def create_accumulator(self) -> "_LiveSketch":
        return _LiveSketch(new_sketch(self._error))

    def add_input(self, live: "_LiveSketch", value: Any) -> "_LiveSketch":
        if isinstance(value, Quantiles):
            live.sketch.merge(value.opened())
        else:
            live.sketch.update(value)
        return live

    def merge_accumulators(self, accumulators: Any) -> "_LiveSketch":
        first, *others = accumulators
        for live in others:
            first.sketch.merge(live.sketch)
        return first

    def extract_output(self, live: "_LiveSketch") -> Quantiles:
        return Quantiles(live.sketch.serialize())


class _LiveSketch:
    """A sketch that accepts values and can be pickled: with fan-out, Beam sends accumulators as they are."""

    def __init__(self, sketch: Any) -> None:
        self.sketch = sketch

    def __reduce__(self) -> Any:
        return _loaded, (self.sketch.serialize(),)


def _loaded(sketch: bytes) -> _LiveSketch:
    return _LiveSketch(Quantiles(sketch).opened())


class _SketchCollector(Collector):
    """Fills a sketch per key, by columns."""

    def __init__(self, single_key: bool, error: float) -> None:
        self._single, self._error = single_key, error
        self._sketches: dict[Any, Any] = {}

    def size(self) -> int:
        return len(self._sketches) * 100  # A sketch is a thousand times as large as a number.

    def add(self, keys: list[pa.ChunkedArray], values: list[pa.ChunkedArray]) -> int:
        numbers = values[0].cast(pa.float64())
        known = pc.fill_null(pc.invert(pc.is_nan(numbers)), False)
        names = [f"k{i}" for i in range(len(keys))]
        table = pa.table([*keys, numbers], [*names, "v"]).filter(known)
        groups = table.group_by(names, use_threads=False).aggregate([("v", "list")])
        columns = [groups[name].to_pylist() for name in names]
        lists = groups["v_list"].combine_chunks() if groups.num_rows else pa.array([], pa.list_(pa.float64()))
        for index, key in enumerate(zip(*columns, strict=True)):
            whole = key[0] if self._single else key
            if whole not in self._sketches:
                self._sketches[whole] = new_sketch(self._error)
            self._sketches[whole].update(lists[index].values.to_numpy())
        return table.num_rows

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        for key, sketch in self._sketches.items():
            yield key, Quantiles(sketch.serialize())
        self._sketches = {}
