"""A result per element, in the form of the elements: the basis of Map and of every guarded conversion."""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.typehints import List

from .batches import batch_type_of, rows_of
from .guard import Guard, GuardedStep, OneByOne, apply_guarded, dead_outputs
from .pattern import Pattern, Stream


def map_elements(
    pattern: Pattern,
    elements: PCollection,
    function: Callable[[Any], Any],
    result_type: Any,
    guard: Guard,
    **labels: str,
) -> Stream[Any]:
    """The function's results: a list of results for each list or table of elements."""
    batch_type = batch_type_of(elements)
    fn: GuardedStep = OneByOne(guard, function)
    if batch_type is not None:
        fn = _MapBatches(guard, function, (elements.element_type, batch_type), result_type)
    return apply_guarded(pattern, elements, fn, {"results": result_type}, **labels)[0]


class _MapBatches(GuardedStep):
    """Calls a function on each element of a batch."""

    def __init__(self, guard: Guard, function: Callable[[Any], Any], types: tuple[Any, Any], result_type: Any) -> None:
        super().__init__(guard)
        self._function = function
        self._element_type, self._input_batches = types
        self._output_type, self._output_batches = result_type, List[result_type]

    def process_batch(self, batch: Any) -> Iterator[Any]:
        began = perf_counter()
        elements = rows_of(batch, self._element_type) if isinstance(batch, pa.Table) else batch
        results, letters, _ = self._guard.results(map(self._function, elements), elements)
        self._guard.measure(len(elements), len(results), len(letters), began)
        if results:
            yield results
        yield from dead_outputs(letters)
