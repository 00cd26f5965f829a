"""Join by key: items wait in state for their parts, with timers."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder, FastPrimitivesCoder, registry
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Duration

from ..base.coders import RecordCoder
from ..base.guard import DEAD, Guard, GuardedStep, OneByOne, apply_guarded
from ..base.hints import return_type


@RecordCoder.register
class Joined(NamedTuple):
    """An item with its parts."""

    key: Any
    """The item's key."""
    parts: dict[str, Any]
    """The elements by the names of the parts, sorted by name."""
    missing: tuple[str, ...]
    """The names of the parts that were missing at the deadline; "1 of 3" if only their number is known."""


class MissingPartsError(Exception):
    """An item lacked parts at its deadline."""


class LatePartError(Exception):
    """A part arrived after its item had passed without it."""


def join_groups(
    pattern: Any, streams: dict[str, PCollection], key: Callable[[Any], Any], part: Any, expected: Any
) -> PCollection:
    """One Joined per item."""
    coders = [registry.get_coder(stream.element_type) for stream in streams.values()]
    parts = []
    for i, (name, stream) in enumerate(streams.items()):
        guard = Guard(pattern, stream.element_type, "its key, part or number of parts", counters=("in", "dead"))
        fn = OneByOne(guard, partial(_part, i, name, key, part, expected, coders[i]))
        types = {"pairs": Tuple[return_type(key, stream.element_type), Tuple[str, AnyType, int, bytes]]}
        parts += apply_guarded(pattern, stream, fn, types, verb=f"Part {name}" if name else "Part", label="Pairs")
    gathered = parts[0] if len(parts) == 1 else tuple(parts) | "Gather" >> beam.Flatten()
    guard = Guard(pattern, AnyType, counters=("out", "dropped", "dead", "duplicates", "late"), remedy=_REMEDY)
    wait = _Await(guard, coders, pattern._partial, pattern._deadline)
    return apply_guarded(pattern, gathered, wait, {"joined": Joined}, verb="Await parts", label="Items")[0]


def checked_expected(expected: Any) -> int | tuple[str, ...]:
    """The number of an item's parts, or their names. Raises ValueError for anything else."""
    if isinstance(expected, int) and not isinstance(expected, bool) and expected >= 1:
        return expected
    if isinstance(expected, tuple | list | set | frozenset) and expected and all(isinstance(n, str) for n in expected):
        return tuple(sorted(set(expected)))
    raise ValueError(f"the expected parts must be a number of at least 1 or a list of names, not {expected!r}")


_REMEDY = (
    "Add .with_partial_groups() to let such an item pass, or .with_error_handler(...) to send its parts to a "
    "dead-letter queue."
)


def _part(number: int, name: str, key: Any, part: Any, expected: Any, coder: Coder, element: Any) -> tuple[Any, Any]:
    """The key with the name, the expected parts, the number of the input, and the encoded element."""
    item, name = key(element), name if part is None else part(element)
    if not isinstance(name, str):
        raise TypeError(f"part=... must return a string, the part's name, not {name!r}")
    if callable(expected):
        found = expected(element)
        expected = None if found is None else checked_expected(found)
    return item, (name, expected, number, coder.encode(element))


class _ItemState(NamedTuple):
    """The state of an item, which is stored as a plain tuple."""

    status: str = "waiting"
    names: tuple[str, ...] = ()
    expected: int | tuple[str, ...] | None = None

    def missing(self) -> tuple[str, ...]:
        if self.expected is None:
            return ("unknown: no part has the number of parts",)
        if isinstance(self.expected, int):
            number = self.expected - len(self.names)
            return (f"{number} of {self.expected}",) if number > 0 else ()
        return tuple([name for name in self.expected if name not in self.names])


class _Await(GuardedStep):
    STATE = ReadModifyWriteStateSpec("seen", FastPrimitivesCoder())
    PARTS = BagStateSpec("parts", FastPrimitivesCoder())
    DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, guard: Guard, coders: list[Coder], partial: bool, deadline: float | None) -> None:
        super().__init__(guard)
        self._coders, self._partial = coders, partial
        self._deadline = None if deadline is None else Duration.of(deadline)

    def process(
        self,
        item: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        state: Any = beam.DoFn.StateParam(STATE),
        parts: Any = beam.DoFn.StateParam(PARTS),
        deadline: Any = beam.DoFn.TimerParam(DEADLINE),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Any]:
        key, (name, expected, number, encoded) = item
        known = _ItemState(*(state.read() or ()))
        if name in known.names:
            self._done("duplicates", 1)
            return
        if known.status != "waiting":
            yield from self._late(key, name, number, encoded)
            return
        if not known.names:
            deadline.set(self._until(timestamp, window))
        known = known._replace(names=(*known.names, name), expected=known.expected or expected)
        parts.add((name, number, encoded))
        if not known.missing():
            yield self._joined(key, parts, ())
            known = self._close(known, "complete", timestamp, window, parts, forget)
            deadline.clear()
        state.write(tuple(known))

    @on_timer(DEADLINE)
    def too_late(
        self,
        key: Any = beam.DoFn.KeyParam,
        fired: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        state: Any = beam.DoFn.StateParam(STATE),
        parts: Any = beam.DoFn.StateParam(PARTS),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Any]:
        """The item's deadline: it passes as it is, or its parts become dead letters."""
        known = _ItemState(*(state.read() or ()))
        if known.status != "waiting" or not known.names:
            return
        if self._partial:
            yield self._joined(key, parts, known.missing())
        else:
            yield from self._incomplete(key, list(parts.read()), known.missing())
        state.write(tuple(self._close(known, "incomplete", fired, window, parts, forget)))

    @on_timer(FORGET)
    def forget(self, state: Any = beam.DoFn.StateParam(STATE)) -> None:
        """Forgets the key: parts that arrive later begin a new item."""
        state.clear()

    def _until(self, moment: Any, window: Any) -> Any:
        end = window.max_timestamp()
        return end if self._deadline is None else min(end, moment + self._deadline)

    def _close(self, known: _ItemState, status: str, moment: Any, window: Any, parts: Any, forget: Any) -> _ItemState:
        parts.clear()
        if self._deadline is not None:
            forget.set(self._until(moment, window))
        return known._replace(status=status)

    def _joined(self, key: Any, parts: Any, missing: tuple[str, ...]) -> Joined:
        found = {name: self._coders[number].decode(encoded) for name, number, encoded in sorted(parts.read())}
        self._done("out", len(found))
        return Joined(key, found, missing)

    def _incomplete(self, key: Any, parts: list[Any], missing: tuple[str, ...]) -> Iterator[Any]:
        present = ", ".join(sorted(name for name, *_ in parts))
        error = MissingPartsError(f"the item {key!r} lacks {', '.join(missing)} at its deadline; present: {present}")
        for _, number, encoded in parts:
            yield self._letter(error, number, encoded)

    def _late(self, key: Any, name: str, number: int, encoded: bytes) -> Iterator[Any]:
        self._guard.count({"late": 1})
        if self._guard.handled:
            error = LatePartError(f"the part {name} of the item {key!r} arrived after the item had passed without it")
            yield self._letter(error, number, encoded)
        else:
            self._done("dropped", 1)

    def _letter(self, error: Exception, number: int, encoded: bytes) -> TaggedOutput:
        coder = self._coders[number]
        letter = self._guard.letter(coder.decode(encoded), error, complaint=str(error), coder=coder)
        self._done("dead", 1)
        return TaggedOutput(DEAD, letter)

    def _done(self, counter: str, parts: int) -> None:
        self._guard.count({counter: parts})
        self._guard.passed(parts)
