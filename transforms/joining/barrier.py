"""The barrier: nothing leaves a window before all inputs have finished it."""

import random
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder, registry
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from ..base.batch_codec import Pack, Unpack
from ..base.batches import batch_type_of
from ..base.metrics import step_counters

#: Number of keys, and so of workers, over which the elements are spread while they wait.
_SHARDS = 64


def barrier(streams: dict[str, PCollection]) -> dict[str, PCollection]:
    """Each stream, delayed: all are grouped together, and a group opens when the slowest input has arrived."""
    batched = [batch_type_of(stream) is not None for stream in streams.values()]
    packed = [
        stream | f"Pack{i}" >> Pack("Join") if batched[i] else stream for i, stream in enumerate(streams.values())
    ]
    coders = [registry.get_coder(stream.element_type) for stream in packed]
    held = []
    for i, stream in enumerate(packed):
        hold = beam.ParDo(_Hold(i, coders[i], counted=batched[i]))
        held.append(stream | f"Hold{i}" >> hold.with_output_types(Tuple[int, Tuple[int, int, bytes]]))
    opened = tuple(held) | "Await all" >> beam.Flatten() | "Wait" >> beam.GroupByKey()
    step = beam.ParDo(_Open(coders))
    step.label = "Groups"  # Otherwise the class name would be a label.
    outputs = opened | "Open" >> step.with_outputs(*[str(i) for i in range(len(held))])
    passed = {}
    for i, (name, stream) in enumerate(streams.items()):
        outputs[str(i)].element_type = packed[i].element_type
        passed[name] = outputs[str(i)]
        if batched[i]:
            passed[name] |= f"Unpack{i}" >> Unpack(stream.element_type, batch_type_of(stream))
    return passed


class _Hold(beam.DoFn):
    def __init__(self, number: int, coder: Coder, counted: bool) -> None:
        self._number, self._coder, self._counted = number, coder, counted  # Pack has counted batches.

    def start_bundle(self) -> None:
        self._counters = () if self._counted else step_counters("Join", ("in", "out"))

    def process(self, element: Any, timestamp: Any = beam.DoFn.TimestampParam) -> Any:
        for counter in self._counters:
            counter.inc()
        shard = random.randrange(_SHARDS)  # noqa: S311 (not a secret)
        return ((shard, (self._number, timestamp.micros, self._coder.encode(element))),)


class _Open(beam.DoFn):
    def __init__(self, coders: list[Coder]) -> None:
        self._coders = coders

    def process(self, group: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        for number, micros, encoded in group[1]:
            element = self._coders[number].decode(encoded)
            yield TaggedOutput(str(number), WindowedValue(element, Timestamp(micros=micros), (window,)))
