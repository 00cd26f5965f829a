"""The filter pattern."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from apache_beam.pvalue import PCollection

from .base.columns import ColumnPredicate, Predicate, checked_predicate
from .base.pattern import SameElements, Stream, T, ViewedPattern
from .base.routing import Router, route


class Filter(ViewedPattern[PCollection[T], Stream[T]], SameElements):
    """Keeps the elements that meet a criterion and drops the others.

    ```
    1 2 3 4 5 --> Filter(is_even) --> 2 4
                     |
                     +-- dropped: counted
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Filter
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create([1, 2, 3, 4, 5]) | Filter(lambda n: n % 2 == 0) | beam.Map(print)
    2
    4

    The predicate may be a `pyarrow.compute.Expression`, such as `pc.field("opt_in") & (pc.field("age") >= 18)`: it is
    evaluated by columns on Arrow tables, and one by one on other rows.

    Args:
        keep: a function of one element, or of its view, that returns true for elements to keep.

    In: PCollection[T].
    Out: PCollection[T], the kept elements unchanged, in batches if they came in batches.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element on which `keep` raises goes to the error handler as a DeadLetter, or fails the run.
    Over beam.Filter: batches, column expressions, views, an error handler, counters of what was dropped.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-3.
    """

    def __init__(self, keep: Predicate[T]) -> None:
        super().__init__()
        self._keep = checked_predicate(keep, "Filter(keep)")

    def expand(self, elements: PCollection) -> Stream:
        return route(self, elements, _Keep(self._keep), ["kept"], verb="Keep")[0]


class _Keep(Router):
    def __init__(self, keep: Callable[[Any], Any]) -> None:
        self._keep = self.predicate = keep
        self.user_code = f"the predicate {getattr(keep, '__name__', keep)}"

    def choose(self, view: Any) -> tuple[int, ...]:
        return (0,) if self._keep(view) else ()

    def split_table(self, table: pa.Table) -> list[pa.Table] | None:
        if isinstance(self._keep, ColumnPredicate):
            return [table.filter(self._keep.column(table))]
        return None
