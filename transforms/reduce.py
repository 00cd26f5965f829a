"""The reduce pattern."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam

from .base.columns import Selection, Selector
from .base.pattern import Stream
from .combine.aggregation import Aggregation
from .combine.merge import FunctionMerge


class Reduce(Aggregation):
    """Merges all elements of a key into one, with a function that merges two.

    ```
    ("the", 50) ("a", 20) --+
                            +--> Reduce(add) --> ("the", 80) ("a", 20)
    ("the", 30) ------------+
    ```

    >>> import operator
    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Reduce
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     words = p | "Monday" >> beam.Create([("the", 20), ("the", 30), ("a", 20)])
    ...     monday = words | "Count" >> Reduce(operator.add)
    ...     tuesday = p | "Tuesday" >> beam.Create([("the", 30)])
    ...     _ = (monday, tuesday) | Reduce(operator.add) | beam.Map(print)
    ('the', 80)
    ('a', 20)

    Args:
        merge: a function of two elements that returns one of their kind; associative and commutative, because elements
            are merged in any order and grouping. It must not change its arguments. Or a beam.CombineFn.
        key: a column's name, a pyarrow expression, a function of one element, or a tuple of these; elements with equal
            keys are merged. Without it the elements are pairs (key, element), such as the output of another Reduce.

    In: PCollection[T], or a tuple, list, dict or NamedTuple of them, partial results included.
    Out: PCollection[Tuple[K, T]], one pair per key and window; with a CombineFn the value is what it extracts.
    Streaming: per window, when it ends or its trigger fires; an unbounded input in the global window raises ValueError.
    Failure: an element on which `key` raises goes to the error handler as a DeadLetter, or fails the run. A merge that
    raises fails the run: no single element is at fault.
    Over beam.CombinePerKey: its output can be its input, several streams at once, batches merged before the shuffle,
    views, an error handler, counters (`in`, `out`: merged; `dropped`: None, which adds nothing), hot keys.
    Source: Burns, Designing Distributed Systems, chapter 12, "Reduce"; Dean and Ghemawat, MapReduce (2004).
    """

    def __init__(self, merge: Callable[[Any, Any], Any] | beam.CombineFn, key: Selection | None = None) -> None:
        super().__init__()
        if not callable(merge) and not isinstance(merge, beam.CombineFn):
            raise TypeError(f"Reduce(merge) must be a function of two elements or a beam.CombineFn, not {merge!r}")
        self._merge = merge if isinstance(merge, beam.CombineFn) else FunctionMerge(merge)
        self._key = None if key is None else Selector(key, "Reduce(key=...)")

    def expand(self, inputs: Any) -> Stream:
        return self._aggregate(inputs, self._merge)
