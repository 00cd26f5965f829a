"""The batch codec: a batch becomes one element before a stage boundary and a batch again after it.

A runner that materialises a PCollection (Flatten, Reshuffle) splits batches and runs a coder on each element; for a
million messages that takes longer than all other work.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.typehints import List

from .batches import BatchStep, batch_type_of
from .coders import RecordCoder, StableCoder
from .message import Message
from .metrics import step_counters


class PackedMessages(list[Message]):
    """A batch of messages as one element."""


class PackedTable:
    """An Arrow table as one element."""


class _MessagesCoder(RecordCoder):
    """Encodes plain values column by column: several times faster than message by message, and unpickles nothing."""

    def encode(self, value: Any) -> bytes:
        return self._fields.encode(tuple(zip(*value, strict=True)))

    def decode(self, encoded: bytes) -> PackedMessages:
        return PackedMessages(map(Message._make, zip(*self._fields.decode(encoded), strict=True)))


class _TableCoder(StableCoder):
    """Encodes in Arrow's stream format."""

    def encode(self, value: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as stream:
            stream.write_table(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.Table:
        return pa.ipc.open_stream(encoded).read_all()


_MessagesCoder.register(PackedMessages)
_TableCoder.register(PackedTable)


class Pack(beam.PTransform):
    """Makes each batch one element, in the batch's window, and counts elements as in and out of the pattern."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, elements: PCollection) -> PCollection:
        batch_type = batch_type_of(elements) or List[elements.element_type]
        packed = elements | "Pack" >> beam.ParDo(_Pack(batch_type, self._pattern))
        lists = PackedMessages if elements.element_type is Message else List[elements.element_type]
        packed.element_type = PackedTable if batch_type is pa.Table else lists
        return packed


class Unpack(beam.PTransform):
    """Makes each packed batch a batch again."""

    def __init__(self, element_type: Any, batch_type: Any) -> None:
        super().__init__()
        self._element_type, self._batch_type = element_type, batch_type

    def expand(self, packed: PCollection) -> PCollection:
        elements = packed | "Unpack" >> beam.ParDo(_Unpack(self._element_type, self._batch_type))
        elements.element_type = self._element_type
        return elements


class _Pack(BatchStep):
    def __init__(self, batch_type: Any, pattern: str) -> None:
        self._input_batches, self._pattern = batch_type, pattern

    def start_bundle(self) -> None:
        self._counters = step_counters(self._pattern, ("in", "out"))

    @beam.DoFn.yields_elements
    def process_batch(self, batch: Any) -> Iterator[Any]:
        for counter in self._counters:
            counter.inc(len(batch))
        yield batch


class _Unpack(BatchStep):
    def __init__(self, element_type: Any, batch_type: Any) -> None:
        self._output_type, self._output_batches = element_type, batch_type

    @beam.DoFn.yields_batches
    def process(self, packed: Any) -> Iterator[Any]:
        yield packed if self._output_batches is pa.Table else list(packed)
