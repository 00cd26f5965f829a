"""The histogram pattern."""

from collections.abc import Sequence
from typing import Any

from .base.columns import Selection
from .base.pattern import Stream
from .combine.aggregation import Aggregation
from .combine.histogram import BinMerge, SketchMerge


class Histogram(Aggregation):
    """Distribution of values per key: counts in bins, or quantiles within an error.

    ```
    north: 3 12 4 --+
                    +--> Histogram(value=..., key=..., bins=(0, 5, 10)) --> ("north", Bins (0, 5, 10): 0 below, 3, 0, 1)
    north: 1 -------+
    ```

    The book's example: children per family, given for each town as shares. A large town counts more, so the shares are
    weighted with the number of families in the town, and merge exactly:

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Bins, Histogram
    >>> children = (0, 1, 2, 3)  # families with 0, 1 and 2 children
    >>> towns = [
    ...     ("county", Bins.of_shares(["0.20", "0.50", "0.30"], weight=300, edges=children)),
    ...     ("county", Bins.of_shares(["0.60", "0.30", "0.10"], weight=100, edges=children)),
    ... ]
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     county = p | beam.Create(towns) | Histogram(bins=children)
    ...     _ = county | beam.MapTuple(lambda name, bins: print(name, bins.counts, *bins.shares()))
    county (0, 120, 180, 100, 0) 0 3/10 9/20 1/4 0

    Args:
        value: the number to count: a column's name, a pyarrow expression, or a function of one element.
        key: the same, or a tuple of these; there is a distribution per key. Without value and key, the elements are
            pairs (key, number) or the output of another Histogram.
        bins: ascending edges; counts are exact, and include the values outside of the edges.
        relative_error: instead of bins: quantiles whose rank differs by at most this share of all values (0.01: the
            median is between the 49th and the 51st percentile), in 99 of 100 sketches.

    In: PCollection[T], or a tuple, list, dict or NamedTuple of them, partial histograms included.
    Out: PCollection[Tuple[K, Bins]], or PCollection[Tuple[K, Quantiles]] for a relative_error.
    Streaming: per window, when it ends or its trigger fires; an unbounded input in the global window raises ValueError.
    Failure: an element on which `value` or `key` raises, or whose value is not a number, goes to the error handler as a
    DeadLetter, or fails the run. None and NaN add nothing and are counted as dropped.
    Over beam's ApproximateQuantiles: results that merge and can be stored, a stated error, exact bins, weights, Arrow
    tables reduced by columns, an error handler, counters (`in`, `out`: counted; `dropped`: None or NaN), hot keys.
    Source: Burns, Designing Distributed Systems, chapter 12, "Histogram"; Karnin, Lang and Liberty, Optimal Quantile
    Approximation in Streams (2016), in the implementation of Apache DataSketches.
    """

    def __init__(
        self,
        value: Selection | None = None,
        key: Selection | None = None,
        *,
        bins: Sequence[Any] | None = None,
        relative_error: float | None = None,
    ) -> None:
        super().__init__()
        if (bins is None) == (relative_error is None):
            raise ValueError("Histogram needs either bins=(0, 10, 100) or relative_error=0.01")
        self._select(value, key, "key=lambda _: 'all' makes one distribution of everything")
        if self._value and not self._value.single:
            raise TypeError(f"Histogram(value={value!r}) accepts one value; write a Histogram for each")
        self._merge = SketchMerge(relative_error) if relative_error is not None else BinMerge(bins or ())

    def expand(self, inputs: Any) -> Stream:
        return self._aggregate(inputs, self._merge)
