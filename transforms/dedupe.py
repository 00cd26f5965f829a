"""The dedupe pattern."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder, registry
from apache_beam.pvalue import PCollection
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindows, SlidingWindows
from apache_beam.typehints import Tuple
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from .base.guard import Guard, OneByOne, apply_guarded
from .base.hints import return_type
from .base.message import MESSAGE_ID, Message
from .base.metrics import step_counters
from .base.pattern import GuardedPattern, SameElements, Stream, T


class Dedupe(GuardedPattern[PCollection[T], Stream[T]], SameElements):
    """Passes the first element of each key on and drops the others, whatever windows they are in.

    ```
    a b a c b --> Dedupe --> a b c
                    |
                    +-- duplicates: counted
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Dedupe
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create(["ann", "bob", "Ann"]) | Dedupe(str.lower) | beam.Map(print)
    ann
    bob

    Args:
        key: a function of one element; elements with equal keys are the same item. By default a message's `message_id`,
            which WriteToQueue gives to every message.
        within: number of seconds of event time for which an item is remembered, counted from the element that passed.
            An element further away in event time passes again. By default for the whole run, on bounded input only.

    In: PCollection[T].
    Out: PCollection[T], the first elements, unchanged, in their windows and with their timestamps. "First" is the first
    to arrive: a runner guarantees no order.
    Streaming: a key is forgotten when the watermark is `within` past it, so memory holds the keys of that time.
    Failure: an element on which `key` raises goes to the error handler as a DeadLetter, or fails the run.
    Over beam's Deduplicate: across windows, the first wins exactly, a custom key without changing the element, counted
    duplicates (`in` = `out` + `duplicates` + `dead`), an error handler.
    Source: Helland, Life beyond Distributed Transactions (2007), on remembering items that are delivered at least once.
    """

    def __init__(self, key: Callable[[T], Any] | None = None, within: float | None = None) -> None:
        super().__init__()
        if key is not None and not callable(key):
            raise TypeError(f"Dedupe(key) must be a function of one element, not {key!r}")
        if within is not None and not within > 0:
            raise ValueError(f"Dedupe(within={within!r}): give a number of seconds above 0")
        self._key, self._within = key or message_id, within

    def expand(self, elements: PCollection) -> Stream:
        self._check(elements)
        windowing, coder = elements.windowing, registry.get_coder(elements.element_type)
        window_coder, key = windowing.windowfn.get_window_coder(), self._key
        key_type = return_type(key, elements.element_type)
        guard = Guard(self, elements.element_type, "its key", counters=("in", "dead"))
        fn = OneByOne(guard, lambda element: (key(element), coder.encode(element)))
        (pairs,) = apply_guarded(self, elements, fn, {"pairs": Tuple[key_type, bytes]}, verb="Key", label="Pairs")
        with_window = beam.Map(_with_window, window_coder).with_output_types(Tuple[key_type, Tuple[bytes, bytes]])
        tagged = pairs | "Keep window" >> with_window
        tagged._windowing = Windowing(GlobalWindows())  # As Reshuffle does: all windows share the state.
        remember = beam.ParDo(_First(self._within, coder, window_coder))
        first = tagged | "Remember" >> remember.with_output_types(elements.element_type)
        first._windowing = windowing
        return first

    def _check(self, elements: PCollection) -> None:
        if self._key is message_id and elements.element_type is not Message:
            raise TypeError(
                f"Dedupe() without a key accepts messages only, not {elements.element_type}; write Dedupe(key=...)"
            )
        if self._within is None and not elements.is_bounded:
            raise ValueError(
                "Dedupe: the input is unbounded, so remembering every key would fill the memory; "
                "set a limit, Dedupe(..., within=3600)"
            )
        windowfn = elements.windowing.windowfn
        if isinstance(windowfn, SlidingWindows) and windowfn.size != windowfn.period:
            raise ValueError(
                "Dedupe: an element in several sliding windows is its own duplicate; put Dedupe before WindowInto"
            )


def message_id(message: Message) -> bytes:
    """The message's deterministic id."""
    found = message.attribute(MESSAGE_ID)
    if found is None:
        raise ValueError(f"the message has no attribute {MESSAGE_ID}; name another key, Dedupe(key=...)")
    return found


def _with_window(
    pair: Any, coder: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
) -> Any:
    key, encoded = pair
    return GlobalWindows.windowed_value((key, (coder.encode(window), encoded)), timestamp)


class _First(beam.DoFn):
    """Keeps the times of a key's elements that passed, in microseconds: several, as elements arrive in any order."""

    PASSED = ReadModifyWriteStateSpec("passed", FastPrimitivesCoder())
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, within: float | None, coder: Any, window_coder: Any) -> None:
        self._within = math.inf if within is None else Duration.of(within).micros
        self._coder, self._window_coder = coder, window_coder

    def start_bundle(self) -> None:
        self._out, self._duplicates = step_counters("Dedupe", ("out", "duplicates"))

    def process(
        self,
        pair: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        passed: Any = beam.DoFn.StateParam(PASSED),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> Iterator[Any]:
        times = passed.read() or ()
        now = timestamp.micros
        if any(abs(now - time) <= self._within for time in times):
            self._duplicates.inc()
            return
        self._keep((*times, now), passed, forget)
        self._out.inc()
        window, encoded = pair[1]
        yield WindowedValue(self._coder.decode(encoded), timestamp, (self._window_coder.decode(window),))

    @on_timer(FORGET)
    def forget(
        self,
        fired: Any = beam.DoFn.TimestampParam,
        passed: Any = beam.DoFn.StateParam(PASSED),
        forget: Any = beam.DoFn.TimerParam(FORGET),
    ) -> None:
        """Forgets the elements that the watermark has passed: no other element of their time can arrive."""
        times = tuple([time for time in passed.read() or () if time + self._within > fired.micros])
        if times:
            self._keep(times, passed, forget)
        else:
            passed.clear()

    def _keep(self, times: tuple[int, ...], passed: Any, forget: Any) -> None:
        passed.write(times)
        if self._within != math.inf:
            forget.set(Timestamp(micros=min(times) + self._within))
