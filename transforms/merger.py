"""The merger pattern."""

from collections.abc import Iterator
from typing import Any, Self

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints import Tuple, Union

from .base.batch_codec import Pack, Unpack
from .base.batches import batch_type_of
from .base.fan import FanIn, named_inputs
from .base.metrics import step_counters
from .base.pattern import Pattern, Stream


class Merger(FanIn, Pattern[Any, Stream[Any]]):
    """Turns several streams of work items into a single stream.

    ```
    emails: a b --+
                  +--> Merger --> a c b d
    texts:  c d --+
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Merger
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     emails, texts = p | "E" >> beam.Create(["a"]), p | "T" >> beam.Create(["b"])
    ...     named = {"email": emails, "sms": texts} | Merger().with_source_names()
    ...     _ = named | beam.combiners.ToList() | beam.Map(lambda pairs: print(sorted(pairs)))
    [('email', 'a'), ('sms', 'b')]

    In: a tuple, list, dict or NamedTuple of PCollections, such as what a Splitter or Copier returned.
    Out: PCollection[T], every element once, in no order; T is the inputs' type, or a Union of them.
    Streaming: elements keep window and timestamp; the watermark is that of the slowest input.
    Failure: no user code needs a guard.
    Over beam.Flatten: batches stay batches (Flatten splits them into elements), `.with_source_names()`, counters, any
    fan-out's result as it is.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-7.
    """

    _named = False

    def with_source_names(self) -> Self:
        """Makes elements pairs (name, element): the dict's key, the NamedTuple's field, or the number of the input."""
        return self._with(_named=True)

    def expand(self, inputs: Any) -> Stream:
        streams = named_inputs(inputs, "Merger")
        types = {stream.element_type for stream in streams.values()}
        forms = {batch_type_of(stream) for stream in streams.values()}
        # Single elements can become lists, but not tables.
        common = len(forms - {None}) == 1 and forms != {None, pa.Table}
        if common and len(types) == 1 and not self._named:
            packed = [stream | f"Pack{i}" >> Pack("Merger") for i, stream in enumerate(streams.values())]
            (batch_type,) = forms - {None}
            return packed | "Merge" >> beam.Flatten() | "Unpack" >> Unpack(types.pop(), batch_type)
        if self._named:
            types = {Tuple[str, kind] for kind in types}
        merged_type = types.pop() if len(types) == 1 else Union[tuple(types)]
        counted = [
            stream | f"Take {name}" >> beam.ParDo(_Take(name if self._named else None)).with_output_types(merged_type)
            for name, stream in streams.items()
        ]
        return counted | "Merge" >> beam.Flatten()


class _Take(beam.DoFn):
    """Counts elements, and pairs them with the name of their source if there is one."""

    def __init__(self, name: str | None) -> None:
        self._name = name

    def start_bundle(self) -> None:
        self._counters, self._taken = step_counters("Merger", ("in", "out")), 0

    def process(self, element: Any) -> Iterator[Any]:
        self._taken += 1
        yield element if self._name is None else (self._name, element)

    def finish_bundle(self) -> None:
        for counter in self._counters:
            counter.inc(self._taken)
