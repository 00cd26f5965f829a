"""What Reduce, Sum and Histogram share: elements become pairs (key, value), whose values are merged."""

from collections.abc import Callable
from typing import Any, Self

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Tuple

from ..dead_letters import DeadLetter
from ..merger import FanIn, gathered
from .batches import batch_type_of
from .columns import Picked
from .fanout import FannedOut
from .operation import Operation
from .pairing import DEAD, Pairing, pair_form
from .routing import ViewedPattern

__all__ = ["Aggregation", "refuse_endless"]


class Aggregation(FanIn, ViewedPattern):
    """A pattern that merges all values of a key into one."""

    _fanout: int | Callable[[Any], int] | None = None
    _key: Picked | None = None
    _value: Picked | None = None

    def with_fanout(self, fanout: int | Callable[[Any], int]) -> Self:
        """Spreads hot keys: each key's values are merged in so many places first, then into one.

        Args:
            fanout: a number for all keys, or a function of the key.
        """
        if not callable(fanout) and not (isinstance(fanout, int) and fanout >= 1):
            raise ValueError(f"with_fanout takes a number of at least 1, or a function of the key, not {fanout!r}")
        return self._with(_fanout=fanout)

    def _aggregate(self, inputs: Any, operation: Any) -> PCollection:
        name = type(self).__name__
        streams = {"": inputs} if isinstance(inputs, PCollection) else gathered(inputs, name)
        refuse_endless(streams, name)
        pairs = [self._paired(stream, operation, f" {given}".rstrip()) for given, stream in streams.items()]
        merged = pairs[0] if len(pairs) == 1 else tuple(pairs) | "Gather" >> beam.Flatten()
        once = beam.CombinePerKey(operation)
        totals = merged | "Merge" >> (once if self._fanout is None else FannedOut(operation, self._fanout))
        key_type, value_type = self._types(next(iter(streams.values())).element_type)
        totals.element_type = Tuple[
            key_type, operation.result_type(value_type) if isinstance(operation, Operation) else AnyType
        ]
        return totals

    def _paired(self, stream: PCollection, operation: Any, suffix: str) -> PCollection:
        batch_type = batch_type_of(stream)
        fn = pair_form(batch_type)(Pairing(self, stream.element_type), operation, batch_type)
        step = beam.ParDo(fn)
        step.label = "Pairs"  # Else Beam writes the class of the form into the graph, and labels are a contract.
        outputs = stream | f"Pair{suffix}" >> step.with_outputs(DEAD, main="pairs")
        key_type, value_type = self._types(stream.element_type)
        partial = operation.partial_type(value_type) if isinstance(operation, Operation) else value_type
        outputs.pairs.element_type = Tuple[key_type, partial]
        outputs[DEAD].element_type = DeadLetter
        if self._handler is not None:
            self._handler.add_error_pcollection(outputs[DEAD])
        return outputs.pairs

    def _types(self, element_type: Any) -> tuple[Any, Any]:
        seen = AnyType if self._view else element_type
        pair = getattr(seen, "tuple_types", None) or (AnyType, AnyType)
        key = self._key.type_of(seen) if self._key else pair[0]
        return key, self._value.type_of(seen) if self._value else seen if self._key else pair[1]


def refuse_endless(streams: dict[str, PCollection], pattern: str) -> None:
    """An unbounded input in the global window never ends, so nothing that waits for its end would ever come out."""
    for name, stream in streams.items():
        windowing = stream.windowing
        if not stream.is_bounded and isinstance(windowing.windowfn, GlobalWindows) and windowing.is_default():
            raise ValueError(
                f"{pattern}: the input {name or stream} is unbounded and in the global window, which never ends; "
                "put `beam.WindowInto(FixedWindows(60))` before it"
            )
