"""The one routing primitive: element -> outputs, for every pattern that passes elements on unchanged.

A pattern gives a `Router`, which says where an element goes: a tuple of indices into the pattern's outputs. Everything
around it is here, once: the guard around user code, the view, the counters, isolation between branches, element types,
and the three forms data comes in, elements, lists and Arrow tables. The form is decided by what produces the input, so
that batches stay batches and nothing is gathered or scattered on the way.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import length_hint, not_, truth
from time import perf_counter
from typing import Any, Self

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import registry
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.error_handling import ErrorHandler

from ..dead_letters import DeadLetter
from .batches import Aside, Seen, batch_type_of, with_asides
from .breaker import Breaker, Failures
from .counters import step_counters
from .message import Message
from .times import Times

__all__ = [
    "RESERVED",
    "ElementError",
    "GuardedPattern",
    "Pattern",
    "Router",
    "ViewedPattern",
    "route",
    "rows_of",
    "shortened",
]

#: Counter names of every pattern, which a branch therefore can't have.
RESERVED = ("in", "out", "dropped", "dead")
#: No field of a NamedTuple can be called so, and therefore no branch of the caller's.
_DEAD = "dead-letters"
_IMMUTABLE = frozenset(
    (bytes, str, int, float, bool, complex, type(None), Message, DeadLetter, pa.Table, pa.RecordBatch)
)
Places = tuple[int, ...]
_FIRST = (0,)


class ElementError(RuntimeError):
    """User code failed on an element and no error handler was there to take it."""


class Pattern(beam.PTransform):
    """What all patterns share: `.with_*` returns a changed copy, and failures go to an error handler."""

    _handler: ErrorHandler | None = None
    _breaker: Breaker | None = None

    def with_error_handler(self, handler: ErrorHandler | None) -> Self:
        """Failed elements go to this handler as DeadLetters; without one the run fails, loudly."""
        return self._with(_handler=handler)

    def _with(self, **changes: Any) -> Self:
        changed = copy.copy(self)
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed


class GuardedPattern(Pattern):
    """A pattern that runs user code."""

    def with_breaker(self, share: float = 0.5, of_last: int = 1000) -> Self:
        """Stops the run when this share of the last so many items failed the same way: a broken deployment.

        Each worker counts for itself. What was written stays; what was not committed is read again by the next run.
        """
        if self._handler is None:
            raise ValueError(
                f"{type(self).__name__}.with_breaker(...) comes behind .with_error_handler(...): "
                "without a handler the first failure ends the run"
            )
        return self._with(_breaker=Breaker.of(share, of_last))


class ViewedPattern(GuardedPattern):
    """A pattern whose user code sees a view of the element, while the element itself passes on."""

    _view: Callable[[Any], Any] | None = None

    def with_view(self, view: Callable[[Any], Any]) -> Self:
        """User code gets `view(element)`, made once per element: `.with_view(Message.json)`.

        A pattern behind a Filter with the same view gets what the Filter saw, so nobody may change it.
        """
        if not callable(view):
            raise TypeError(f"with_view takes a function of one element, such as Message.json, not {view!r}")
        return self._with(_view=view)


class Router:
    """Where a pattern's elements go. Made on the launcher, pickled to the workers."""

    #: The user's function, as error messages call it.
    asks = "the function"

    def ask(self, view: Any) -> Any:
        """Runs user code on one element: its places, or what `settle` makes places of. May raise."""
        raise NotImplementedError

    #: The user's function itself, where its truth is the whole answer: what it is true of goes to the first output, the
    #: rest to the second, or nowhere if there is none.
    keeps: Callable[[Any], Any] | None = None

    #: Turns a list of answers into a list of places at once; None where an answer is a place already.
    settle: Callable[[list[Any]], Sequence[Places]] | None = None

    def place_table(self, table: pa.Table) -> Sequence[pa.Table] | None:
        """The rows for each output, or None where user code wants to see rows. May raise: then rows are tried."""
        return None


def route(
    pattern: Pattern,
    elements: PCollection,
    router: Router,
    names: Sequence[str],
    *,
    verb: str,
    isolate: bool = False,
) -> list[PCollection]:
    """Applies a router to a PCollection: one output per name, each of the input's type."""
    if not isinstance(elements, PCollection):
        raise TypeError(
            f"{type(pattern).__name__} takes one PCollection, not {type(elements).__name__}; "
            "gather several with Merger() first"
        )
    batch_type = batch_type_of(elements)
    fn = _form(batch_type)(pattern, router, names, elements.element_type, batch_type, isolate)
    first, *others = names  # The main output costs a little less than a tagged one.
    step = beam.ParDo(fn)
    step.label = "Route"  # Else Beam writes the class of the form into the graph, and labels are a contract.
    outputs = elements | verb >> step.with_outputs(_DEAD, *others, main=first)
    with_asides(step)
    for name in names:
        outputs[name].element_type = elements.element_type
    outputs[_DEAD].element_type = DeadLetter
    if pattern._handler is not None:
        pattern._handler.add_error_pcollection(outputs[_DEAD])
    return [outputs[name] for name in names]


def shortened(element: Any) -> str:
    """An element for an error message."""
    text = repr(element)
    return text if len(text) <= 500 else f"{text[:500]}... ({len(text):,} characters)"


class _Route(beam.DoFn):
    """The guard and the counters; a subclass for each form of the data."""

    def __init__(
        self, pattern: Pattern, router: Router, names: Sequence[str], element_type: Any, batch_type: Any, isolate: bool
    ) -> None:
        self._router, self._names, self._isolate = router, tuple(names), isolate
        self._view = getattr(pattern, "_view", None)
        self._guarded, self._breaker = pattern._handler is not None, pattern._breaker
        self._pattern, self._step = type(pattern).__name__, pattern.label
        self._element_type, self._batch_type = element_type, batch_type

    def setup(self) -> None:
        self._coder = registry.get_coder(self._element_type)
        self._failures = Failures(self._breaker, self._step) if self._breaker else None

    def start_bundle(self) -> None:
        branches = self._names if len(self._names) > 1 else ()  # A single output is counted as `out` already.
        counters = step_counters(self._pattern, (*RESERVED, *branches))
        self._in, self._out, self._dropped, self._dead, *self._branches = counters
        self._times = Times()

    def infer_output_type(self, input_type: Any) -> Any:
        return input_type

    def _output(self, place: int, values: Any) -> Any:
        return TaggedOutput(self._names[place], values) if place else values

    def _failed(self, element: Any, error: Exception, at: int) -> DeadLetter:
        if self._guarded:
            letter = DeadLetter.of(element, error, step=self._step, coder=self._coder)
            if self._failures is not None:
                self._failures.note(letter, at)
            return letter
        raise ElementError(
            f"{self._step}: {self._router.asks} raised {type(error).__name__}: {error}, on {shortened(element)}. "
            "Add .with_error_handler(...) to send such elements to a dead-letter queue."
        ) from error

    def _count(self, total: int, moved: int, dead: int, placed: Sequence[int]) -> None:
        self._in.inc(total)
        self._out.inc(moved)
        self._dropped.inc(total - moved - dead)
        self._dead.inc(dead)
        if self._failures is not None:
            self._failures.passed(total)
        for counter, number in zip(self._branches, placed, strict=False):
            counter.inc(number)


class _RouteElements(_Route):
    """One by one. This is the path where every call per element shows, hence the tally by places."""

    def setup(self) -> None:
        super().setup()
        view, ask, settle = self._view, self._router.ask, self._router.settle
        viewed = ask if view is None else lambda element: ask(view(element))
        self._place = viewed if settle is None else lambda element: settle([viewed(element)])[0]

    def start_bundle(self) -> None:
        super().start_bundle()
        self._next_place = self._times.sampling(self._place)
        self._letters = 0
        self._tally: dict[Places, int] = defaultdict(int)

    def process(self, element: Any) -> Sequence[Any]:
        try:
            places = self._next_place()(element)
        except Exception as error:
            letter = self._failed(element, error, sum(self._tally.values()) + self._letters)
            self._letters += 1
            return (TaggedOutput(_DEAD, letter),)
        self._tally[places] += 1
        if places == _FIRST:
            return (element,)
        if not places:
            return places
        *others, last = places
        copies = [self._output(i, _isolated(element) if self._isolate else element) for i in others]
        return (*copies, self._output(last, element))

    def finish_bundle(self) -> None:
        placed = [sum(times for places, times in self._tally.items() if i in places) for i in range(len(self._names))]
        moved = sum(times for places, times in self._tally.items() if places)
        self._count(sum(self._tally.values()) + self._letters, moved, self._letters, placed)


class _RouteBatches(_Route):
    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return self._batch_type

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return self._batch_type

    def _answered(self, batch: Sequence[Any]) -> tuple[Sequence[int], Sequence[Any], list[DeadLetter]]:
        """For the elements that did not fail their indices and places, for the others dead letters."""
        answers: list[Any] = []
        failed: set[int] = set()
        letters: list[DeadLetter] = []
        views = _views_of(batch, self._view)
        keeps = self._router.keeps
        asked = map(self._router.ask, views) if keeps is None else map(truth, map(keeps, views))
        while len(answers) + len(failed) < len(batch):
            try:  # The iterator goes on behind an element that failed: the guard costs nothing and repeats nothing.
                answers.extend(asked)
                if len(answers) + len(failed) < len(batch):
                    raise StopIteration("raised by user code")  # It can't be told from the end, but by counting.
            except Exception as error:
                at = len(answers) + len(failed)
                letters.append(self._failed(batch[at], error, at))
                failed.add(at)
        indices = [i for i in range(len(batch)) if i not in failed] if failed else range(len(batch))
        return indices, answers if self._router.settle is None else self._router.settle(answers), letters

    def _dealt(self, things: Sequence[Any], places: Sequence[Any]) -> list[list[Any]]:
        """What goes to each output."""
        if self._router.keeps is not None:
            kept = list(compress(things, places))
            return [kept] if len(self._names) == 1 else [kept, list(compress(things, map(not_, places)))]
        outputs: list[list[Any]] = [[] for _ in self._names]
        appends = [output.append for output in outputs]
        for thing, chosen in zip(things, places, strict=True):
            for place in chosen:
                appends[place](thing)
        return outputs

    def _tell(self, total: int, outputs: Sequence[Any], dead: int, began: float) -> None:
        """Counts, and notes the time."""
        placed = [len(output) for output in outputs]
        # Only a pattern that drops nothing puts an element into two outputs.
        self._count(total, min(sum(placed), total - dead), dead, placed)
        self._times.note(perf_counter() - began, total)


class _RouteLists(_RouteBatches):
    """A list at a time: the form of queue messages."""

    def process_batch(self, batch: Any) -> Iterator[Any]:
        began = perf_counter()
        outputs: list[list[Any]]
        if self._router.keeps is not None and self._view is not None and len(self._names) == 1:
            kept, letters = self._sifted(batch, self._router.keeps, self._view)
            outputs = [kept]
        else:
            indices, places, letters = self._answered(batch)
            outputs = self._dealt(batch if not letters else [batch[i] for i in indices], places)
        self._tell(len(batch), outputs, len(letters), began)
        if self._isolate:
            outputs[:-1] = [[_isolated(element) for element in output] for output in outputs[:-1]]
        for place, output in enumerate(outputs):
            if output:
                yield self._output(place, output)
        if letters:
            yield TaggedOutput(_DEAD, Aside(letters))

    def _sifted(self, batch: list[Any], keeps: Callable[[Any], Any], view: Callable[[Any], Any]) -> Any:
        """What is kept, with its views, and dead letters."""
        kept = Seen(view)
        keep, keep_view = kept.append, kept.views.append
        letters: list[DeadLetter] = []
        elements = iter(batch)
        views = _seen_by(batch, view)
        seen = None if views is None else zip(elements, views, strict=True)
        while length_hint(elements):
            try:
                if seen is None:
                    for element in elements:
                        found = view(element)
                        if keeps(found):
                            keep(element)
                            keep_view(found)
                else:
                    for element, found in seen:
                        if keeps(found):
                            keep(element)
                            keep_view(found)
            except Exception as error:
                at = len(batch) - length_hint(elements) - 1
                letters.append(self._failed(batch[at], error, at))
        return kept, letters


class _RouteTables(_RouteBatches):
    """An Arrow table at a time: the form of rows."""

    def process_batch(self, batch: Any) -> Iterator[Any]:
        began = perf_counter()
        letters: list[DeadLetter] = []
        try:
            outputs = self._router.place_table(batch) if self._view is None else None
        except Exception:  # A column function fails as a whole; row by row the culprit is found.
            outputs = None
        if outputs is None:
            outputs, letters = self._place_rows(batch)
        self._tell(batch.num_rows, outputs, len(letters), began)
        for place, output in enumerate(outputs):
            if output.num_rows:
                yield self._output(place, output)
        if letters:
            yield TaggedOutput(_DEAD, Aside(letters))

    def _place_rows(self, table: pa.Table) -> tuple[list[pa.Table], list[DeadLetter]]:
        rows = rows_of(table, self._element_type)
        indices, places, letters = self._answered(rows)
        return [table.take(pa.array(taken, pa.int64())) for taken in self._dealt(indices, places)], letters


def _form(batch_type: Any) -> type[_Route]:
    if batch_type is None:
        return _RouteElements
    return _RouteTables if batch_type is pa.Table else _RouteLists


def rows_of(table: pa.Table, element_type: Any) -> list[Any]:
    """A table's rows, as elements of the type."""
    row_type = getattr(element_type, "user_type", element_type)
    columns = [column.to_pylist() for column in table.columns]
    names = table.column_names
    return [row_type(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _views_of(batch: Sequence[Any], view: Callable[[Any], Any] | None) -> Iterator[Any]:
    """What user code gets to see."""
    if view is None:
        return iter(batch)
    seen = _seen_by(batch, view)
    return map(view, batch) if seen is None else iter(seen)


def _seen_by(batch: Sequence[Any], view: Callable[[Any], Any]) -> list[Any] | None:
    """The views that the Filter before made, if it had this one."""
    return batch.views if isinstance(batch, Seen) and batch.view is view else None


def _isolated(element: Any) -> Any:
    return element if type(element) in _IMMUTABLE else copy.deepcopy(element)
