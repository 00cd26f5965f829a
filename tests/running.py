"""Sources for tests of patterns: lists of elements and Arrow tables."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.typehints import List


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
