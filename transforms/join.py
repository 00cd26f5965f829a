"""The join pattern."""

from collections.abc import Callable
from typing import Any

from apache_beam.pvalue import PCollection

from .base.fan import FanIn, named_inputs
from .base.pattern import GuardedPattern
from .base.windows import refuse_endless
from .joining.barrier import barrier
from .joining.state import checked_expectation, join_groups

__all__ = ["Join"]


class Join(FanIn, GuardedPattern):
    """Waits until all parallel work is done: all of it, or all parts of one item.

    ```
    blurred: a b --+           +--> blurred: a b
                   +--> Join --+                  nothing passes before every input has finished
    tagged:  c d --+           +--> tagged:  c d

    plate: 1 2 --+
                 +--> Join(key=...) --> Joined(1, {plate, color})   each item passes when its parts are there
    color: 2 1 --+
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Join
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     parts = {"plate": p | "P" >> beam.Create(["car1 B-X 1"]), "color": p | "C" >> beam.Create(["car1 red"])}
    ...     _ = parts | Join(key=lambda text: text.split()[0]) | beam.Map(print)
    Joined(key='car1', parts={'color': 'car1 red', 'plate': 'car1 B-X 1'}, missing=())

    Args:
        key: which item an element is a part of. Without it nothing leaves a window until every input has finished it.
        expected: how many different parts an item has, or their names; or a function of one element that says so.
            By default one from each input.
        part: the name of a part, a function of one element. By default the name of the input it came from: the dict's
            key, the NamedTuple's field, or its number.

    In: a tuple, list, dict or NamedTuple of PCollections in the same windows; with `part` also a single PCollection.
    Out: without a key what went in, in the shape it came in (a PCollection, tuple, list, dict or NamedTuple), with
    timestamps and windows unchanged; with a key PCollection[Joined]: the key, the parts by name, the names of the
    missing ones.
    Streaming: an unbounded input needs windows, or with a key a deadline; else it is refused. A deadline is in event
    time, from the first part; memory holds an item until then, and its key for as long again.
    Failure: an element on which `key`, `part` or `expected` raises goes to the error handler as a DeadLetter, or fails
    the run; and so does each part of an item that lacks parts at its deadline (at the latest when its window ends, or a
    bounded input does), which says what is missing. `.with_partial_groups()` lets such items pass instead. A part that
    comes after its item has passed incomplete is `late`: it is a dead letter where there is a handler, and dropped.
    Over beam.CoGroupByKey and WaitOn: an item passes as soon as it is complete, a deadline, names of what is missing,
    a part delivered twice counts once (`in` = `out` + `duplicates` + `dead` + `dropped`, in parts).
    Source: Burns, Designing Distributed Systems, chapter 12, figure 12-1 ("Join, or barrier synchronization").
    """

    _deadline: float | None = None
    _partial = False

    def __init__(self, key: Callable[[Any], Any] | None = None, expected: Any = None, part: Any = None) -> None:
        super().__init__()
        if key is None and (expected is not None or part is not None):
            raise ValueError("Join(expected=..., part=...) needs key=..., which says what item an element is a part of")
        for name, function in (("key", key), ("part", part)):
            if function is not None and not callable(function):
                raise TypeError(f"Join({name}=...) takes a function of one element, not {function!r}")
        self._key, self._part = key, part
        self._expected = expected if expected is None or callable(expected) else checked_expectation(expected)

    def with_deadline(self, seconds: float) -> "Join":
        """An item waits so long for its parts, in event time, counted from the first one to arrive."""
        if self._key is None:
            raise ValueError(
                "Join().with_deadline(...) needs Join(key=...): without a key a window's end is the deadline"
            )
        if not seconds > 0:
            raise ValueError(f"Join.with_deadline({seconds!r}) takes seconds, more than 0")
        return self._with(_deadline=seconds)

    def with_partial_groups(self) -> "Join":
        """An item that lacks parts at its deadline passes as it is, and names what is missing."""
        if self._key is None:
            raise ValueError("Join().with_partial_groups() needs Join(key=...): without a key there are no groups")
        return self._with(_partial=True)

    def expand(self, inputs: Any) -> Any:
        """The inputs behind the barrier, or the joined items."""
        single = isinstance(inputs, PCollection)
        if single and self._key is not None and self._part is None:
            raise ValueError(
                "Join of a single PCollection needs part=..., a function that names the part an element is"
            )
        streams = {"": inputs} if single else named_inputs(inputs, "Join")
        _same_windows(streams)
        if self._deadline is None:
            refuse_endless(streams, "Join")
        if self._key is not None:
            return join_groups(self, streams, self._key, self._part, self._expected or _names(streams, self._part))
        return _shaped(inputs, barrier(streams))


def _names(streams: dict[str, PCollection], part: Any) -> tuple[str, ...]:
    if part is not None:
        raise ValueError("Join(part=...) needs expected=..., how many parts an item has or what they are called")
    return tuple(sorted(streams))


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
