"""The join pattern."""

from collections.abc import Callable
from typing import Any, Self

from apache_beam.pvalue import PCollection

from .base.fan import FanIn, named_inputs, require_finite_windows
from .base.guard import check_breaker
from .base.pattern import GuardedPattern
from .joining.barrier import barrier
from .joining.state import checked_expected, join_groups


class Join(FanIn, GuardedPattern[Any, Any]):
    """Waits until all parallel work is done: on all elements, or on all parts of one item.

    ```
    blurred: a b --+           +--> blurred: a b
                   +--> Join --+                  nothing passes before every input has finished
    tagged:  c d --+           +--> tagged:  c d

    plate: 1 2 --+
                 +--> Join(key=...) --> Joined(1, {plate, color})   an item passes when it has all its parts
    color: 2 1 --+
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Join
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     parts = {"plate": p | "P" >> beam.Create(["car1 B-X 1"]), "color": p | "C" >> beam.Create(["car1 red"])}
    ...     _ = parts | Join(key=lambda text: text.split()[0]) | beam.Map(print)
    Joined(key='car1', parts={'color': 'car1 red', 'plate': 'car1 B-X 1'}, missing=())

    Args:
        key: a function of one element that returns the item of which the element is a part. Without a key, nothing
            leaves a window until every input has finished it.
        expected: number or names of an item's parts, or a function of one element that returns either. By default one
            part from each input.
        part: a function of one element that returns the part's name. By default the name of the input: the dict's key,
            the NamedTuple's field, or its number.

    In: a tuple, list, dict or NamedTuple of PCollections in the same windows; with `part` also a single PCollection.
    Out: without a key the inputs in the shape they came in (a PCollection, tuple, list, dict or NamedTuple), with
    timestamps and windows unchanged; with a key PCollection[Joined]: the key, the parts by name, the names of the
    missing ones.
    Streaming: an unbounded input needs windows, or with a key a deadline; otherwise Join raises ValueError. A deadline
    is in event time, from the first part; memory holds an item until then, and its key for the same time again.
    Failure: an element on which `key`, `part` or `expected` raises goes to the error handler as a DeadLetter, or fails
    the run. The same happens to each part of an item that lacks parts at its deadline (at the latest when its window or
    a bounded input ends); the error names the missing parts. `.with_partial_groups()` passes such items on instead. A
    part that arrives after its item has passed incomplete is `late`: a dead letter if there is a handler, else dropped.
    Over beam.CoGroupByKey and WaitOn: an item passes as soon as it is complete, a deadline, names of missing parts,
    a part delivered twice counts once (`in` = `out` + `duplicates` + `dead` + `dropped`, in parts).
    Source: Burns, Designing Distributed Systems, chapter 12, figure 12-1 ("Join, or barrier synchronization").
    """

    _deadline: float | None = None
    _partial = False

    def __init__(self, key: Callable[[Any], Any] | None = None, expected: Any = None, part: Any = None) -> None:
        super().__init__()
        if key is None and (expected is not None or part is not None):
            raise ValueError("Join(expected=..., part=...) needs key=..., a function that returns an element's item")
        for name, function in (("key", key), ("part", part)):
            if function is not None and not callable(function):
                raise TypeError(f"Join({name}=...) must be a function of one element, not {function!r}")
        self._key, self._part = key, part
        self._expected = expected if expected is None or callable(expected) else checked_expected(expected)

    def with_deadline(self, seconds: float) -> Self:
        """Limits how long an item waits for its parts, in event time, counted from the first part to arrive."""
        if self._key is None:
            raise ValueError(
                "Join().with_deadline(...) needs Join(key=...): without a key a window's end is the deadline"
            )
        if not seconds > 0:
            raise ValueError(f"Join.with_deadline({seconds!r}): give a number of seconds above 0")
        return self._with(_deadline=seconds)

    def with_partial_groups(self) -> Self:
        """Passes an item that lacks parts at its deadline on, with the names of the missing parts."""
        if self._key is None:
            raise ValueError("Join().with_partial_groups() needs Join(key=...): without a key there are no groups")
        return self._with(_partial=True)

    def expand(self, inputs: Any) -> Any:
        single = isinstance(inputs, PCollection)
        if single and self._key is not None and self._part is None:
            raise ValueError(
                "Join of a single PCollection needs part=..., a function that returns the name of an element's part"
            )
        streams = {"": inputs} if single else named_inputs(inputs, "Join")
        check_breaker(self)
        _same_windows(streams)
        if self._deadline is None:
            require_finite_windows(streams, "Join")
        if self._key is not None:
            if self._part is not None and self._expected is None:
                raise ValueError("Join(part=...) needs expected=..., the number or the names of an item's parts")
            return join_groups(self, streams, self._key, self._part, self._expected or tuple(sorted(streams)))
        return _shaped(inputs, barrier(streams))


def _same_windows(streams: dict[str, PCollection]) -> None:
    first, *others = [(name, stream.windowing) for name, stream in streams.items()]
    for name, windowing in others:
        if windowing != first[1]:
            raise ValueError(
                f"Join: the inputs {first[0]} and {name} are windowed differently, {first[1].windowfn} and "
                f"{windowing.windowfn}; put the same beam.WindowInto(...) before both"
            )


def _shaped(inputs: Any, passed: dict[str, PCollection]) -> Any:
    if isinstance(inputs, PCollection):
        return passed[""]
    if isinstance(inputs, dict):
        return dict(zip(inputs, passed.values(), strict=True))
    if hasattr(inputs, "_fields"):
        return type(inputs)(*passed.values())
    return type(inputs)(passed.values())
