"""Beam's batches as the patterns need them: the form of a PCollection, and batches for side outputs."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.typehints.batch import BatchConverter

#: Number of elements of a batch that are measured for the runner's byte counts.
_SAMPLE = 10


class SideBatch(list[Any]):
    """A batch for a tagged output whose elements are not of the DoFn's own type: dead letters, positions."""


class ViewedBatch(list[Any]):
    """A batch with its elements' views, which the next pattern uses if it has the same view."""

    def __init__(self, view: Any) -> None:
        super().__init__()
        self.view, self.views = view, list[Any]()


class BatchStep(beam.DoFn):
    """A DoFn that declares types instead of Beam's: of the input's batches, the output, and the output's batches."""

    _input_batches: Any = None
    _output_type: Any = None
    _output_batches: Any = None

    def get_input_batch_type(self, input_type: Any) -> Any:
        return self._input_batches or super().get_input_batch_type(input_type)

    def infer_output_type(self, input_type: Any) -> Any:
        return self._output_type or super().infer_output_type(input_type)

    def get_output_batch_type(self, input_type: Any) -> Any:
        return self._output_batches or super().get_output_batch_type(input_type)


def batch_type_of(elements: PCollection) -> Any:
    """Type of a PCollection's batches, List[T] or pa.Table; None if its producer yields single elements."""
    transform = elements.producer.transform if elements.producer else None
    converter = getattr(getattr(transform, "fn", None), "output_batch_converter", None)
    return converter.batch_type if converter else None


def rows_of(table: pa.Table, element_type: Any) -> list[Any]:
    """A table's rows, as elements of the type."""
    row_type = getattr(element_type, "user_type", element_type)
    columns = [column.to_pylist() for column in table.columns]
    names = table.column_names
    return [row_type(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def allow_side_batches(step: beam.ParDo) -> None:
    """Lets an applied ParDo that yields batches yield `SideBatch`es too.

    Beam has one batch converter for all outputs of a DoFn, with which it would measure and unpack side batches too.
    """
    converter = getattr(step.fn, "output_batch_converter", None)
    if converter is not None:
        step.fn.output_batch_converter = _WithSideBatches(converter)


class _WithSideBatches(BatchConverter):
    """Equal to the converter that it wraps, so consumers still accept the batches as they are."""

    def __init__(self, inner: BatchConverter) -> None:
        super().__init__(inner.batch_type, inner.element_type)
        self._inner = inner

    def __reduce__(self) -> Any:
        # In another process, Arrow's converter builds its element type from its schema; so must this one.
        return _WithSideBatches, (self._inner,)

    def produce_batch(self, elements: Any) -> Any:
        return self._inner.produce_batch(elements)

    def explode_batch(self, batch: Any) -> Iterator[Any]:
        return iter(batch) if isinstance(batch, SideBatch) else self._inner.explode_batch(batch)

    def combine_batches(self, batches: Any) -> Any:
        return self._inner.combine_batches(batches)

    def get_length(self, batch: Any) -> int:
        return len(batch)

    def estimate_byte_size(self, batch: Any) -> int:
        if isinstance(batch, SideBatch):
            return len(batch)
        if isinstance(batch, list) and len(batch) > _SAMPLE:  # Beam would encode a hundred elements of each batch.
            some = batch[:: len(batch) // _SAMPLE]
            return self._inner.estimate_byte_size(some) * len(batch) // len(some)
        return self._inner.estimate_byte_size(batch)
