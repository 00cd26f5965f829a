"""Running small pipelines and looking at everything they did: outputs and counters."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import List

from beam_patterns.testing.collect import Collect
from beam_patterns.transforms import DeadLetters
from beam_patterns.transforms.balance import counters_of


class Run:
    """What a pipeline did: `run["email"]` are the elements of that output, `run.counters["Filter", "in"]` a counter."""

    def __init__(self, make: Callable[..., beam.Pipeline], build: Callable[..., Mapping[str, PCollection]]) -> None:
        p, dead_ones = make(), Collect()
        self._outputs = defaultdict[str, Collect](Collect)
        with ErrorHandler(DeadLetters() | "See dead" >> dead_ones) as dead:
            for name, output in build(p, dead).items():
                _ = output | f"See {name}" >> self._outputs[name]
            _ = p | "No error" >> beam.Create([]) | "Dead" >> Report(dead)
        result = p.run()
        result.wait_until_finish()
        self.dead = dead_ones.elements
        self.counters: dict[tuple[str, str], int] = defaultdict(int)
        for (_, pattern, name), number in counters_of(result).items():
            self.counters[pattern, name] += number

    def __getitem__(self, name: str) -> list[Any]:
        return self._outputs[name].elements


class Report(beam.PTransform):
    """Gives an error handler a PCollection of errors: it needs at least one, and not every transform has errors."""

    def __init__(self, handler: ErrorHandler) -> None:
        super().__init__()
        self._handler = handler

    def expand(self, errors: PCollection) -> PCollection:
        self._handler.add_error_pcollection(errors)
        return errors


class Lists(beam.PTransform):
    """A source that yields lists of elements."""

    def __init__(self, elements: Sequence[Any], element_type: Any, size: int = 7) -> None:
        super().__init__()
        self._batches = [list(elements[i : i + size]) for i in range(0, len(elements), size)]
        self._type, self._batch_type = element_type, List[element_type]

    def expand(self, begin: Any) -> PCollection:
        fn = _Batches(self._batches, self._type, self._batch_type)
        return begin | "Impulse" >> beam.Impulse() | "Batches" >> beam.ParDo(fn)


class Tables(Lists):
    """A source that yields NamedTuples as Arrow tables."""

    def __init__(self, rows: Sequence[Any], row_type: type, schema: pa.Schema, size: int = 7) -> None:
        super().__init__(rows, row_type, size)
        self._batch_type = pa.Table
        self._batches = [pa.Table.from_pylist([row._asdict() for row in rows], schema) for rows in self._batches]


class _Batches(beam.DoFn):
    def __init__(self, batches: list[Any], element_type: Any, batch_type: Any) -> None:
        self._batches, self._type, self._batch_type = batches, element_type, batch_type

    @beam.DoFn.yields_batches
    def process(self, _: bytes) -> Iterator[Any]:
        yield from self._batches

    def infer_output_type(self, _: Any) -> Any:
        return self._type

    def get_output_batch_type(self, _: Any) -> Any:
        return self._batch_type
