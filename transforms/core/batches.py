"""Beam's batches, as the patterns need them: which ones arrive, and side outputs that are none of them."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.batch import BatchConverter

__all__ = ["Aside", "Seen", "batch_type_of", "with_asides"]

#: Elements of a batch that are measured for the runner's byte counts.
_SAMPLE = 10


class Aside(list[Any]):
    """Elements of another type than the DoFn's batches, for a tagged output: dead letters, positions."""


class Seen(list[Any]):
    """A batch with what a view made of each element, so that the next pattern with this view need not make it again."""

    def __init__(self, view: Any) -> None:
        super().__init__()
        self.view, self.views = view, list[Any]()


def batch_type_of(elements: PCollection) -> Any:
    """The batches in which a PCollection arrives, List[T] or pa.Table; None where its producer yields elements."""
    transform = elements.producer.transform if elements.producer else None
    converter = getattr(getattr(transform, "fn", None), "output_batch_converter", None)
    return converter.batch_type if converter else None


def with_asides(step: beam.ParDo) -> None:
    """Lets an applied ParDo that yields batches yield `Aside`s too.

    Beam has one batch converter for all outputs of a DoFn and would measure and take apart everything with it.
    """
    converter = getattr(step.fn, "output_batch_converter", None)
    if converter is not None:
        step.fn.output_batch_converter = _WithAsides(converter)


class _WithAsides(BatchConverter):
    """Equal to the converter it wraps, so consumers still take the batches as they are."""

    def __init__(self, inner: BatchConverter) -> None:
        super().__init__(inner.batch_type, inner.element_type)
        self._inner = inner

    def __reduce__(self) -> Any:
        # In another process an Arrow converter has an element type that was made anew of its schema: so must this one.
        return _WithAsides, (self._inner,)

    def produce_batch(self, elements: Any) -> Any:
        return self._inner.produce_batch(elements)

    def explode_batch(self, batch: Any) -> Iterator[Any]:
        return iter(batch) if isinstance(batch, Aside) else self._inner.explode_batch(batch)

    def combine_batches(self, batches: Any) -> Any:
        return self._inner.combine_batches(batches)

    def get_length(self, batch: Any) -> int:
        return len(batch)

    def estimate_byte_size(self, batch: Any) -> int:
        if isinstance(batch, Aside):
            return len(batch)
        if isinstance(batch, list) and len(batch) > _SAMPLE:  # Beam would encode a hundred elements of each batch.
            some = batch[:: len(batch) // _SAMPLE]
            return self._inner.estimate_byte_size(some) * len(batch) // len(some)
        return self._inner.estimate_byte_size(batch)
