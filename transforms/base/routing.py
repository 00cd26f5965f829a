"""The routing primitive: element -> outputs, for every pattern that passes elements on unchanged.

A pattern has a `Router`, which chooses where an element goes: a tuple of indices into the pattern's outputs. The rest
is here: views, counters, isolation between branches, element types, and the three forms of data: elements, lists and
Arrow tables. The producer of the input decides the form, so batches stay batches.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import length_hint, not_, truth
from time import perf_counter
from typing import Any

import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput

from .batches import ViewedBatch, batch_type_of, rows_of
from .dead_letter import DeadLetter
from .guard import DEAD, RESERVED, Guard, GuardedStep, apply_guarded, dead_outputs
from .message import Message
from .pattern import Pattern, Stream, single_input

_IMMUTABLE = frozenset(
    (bytes, str, int, float, bool, complex, type(None), Message, DeadLetter, pa.Table, pa.RecordBatch)
)
Places = tuple[int, ...]
_FIRST = (0,)


class Router:
    """Chooses where a pattern's elements go. Made by the launcher, pickled to the workers."""

    #: Name of the user's function in error messages.
    user_code = "the function"
    #: Set for a plain predicate: matches go to output 0, other elements to output 1 if there is one, else nowhere.
    predicate: Callable[[Any], Any] | None = None
    #: Turns the values that `choose` returned for a batch into places; None if `choose` returns places.
    resolve: Callable[[list[Any]], Sequence[Places]] | None = None

    def choose(self, view: Any) -> Any:
        """Runs user code on one element and returns its places, or a value for `resolve`. May raise."""
        raise NotImplementedError

    def split_table(self, table: pa.Table) -> Sequence[pa.Table] | None:
        """The rows for each output, or None if user code needs rows. If it raises, rows are tried one by one."""
        return None


def route(
    pattern: Pattern, elements: PCollection, router: Router, names: Sequence[str], *, verb: str, isolate: bool = False
) -> list[Stream[Any]]:
    """Applies a router to a PCollection: one output per name, each with the input's type."""
    single_input(pattern, elements)
    batch_type = batch_type_of(elements)
    form = _RouteElements if batch_type is None else _RouteTables if batch_type is pa.Table else _RouteLists
    branches = names if len(names) > 1 else ()  # A single output is counted as `out` already.
    guard = Guard(pattern, elements.element_type, router.user_code, counters=(*RESERVED, *branches))
    view = getattr(pattern, "_view", None)
    fn = form(guard, router, names, view, (elements.element_type, batch_type), isolate)
    types = dict.fromkeys(_tags(names), elements.element_type)
    return apply_guarded(pattern, elements, fn, types, verb=verb, label="Route")


def _tags(names: Sequence[str]) -> Sequence[str]:
    """Tags of the outputs. Beam writes the main output's tag as "None", which may also be the name of a branch."""
    return [str(place) for place in range(len(names))] if "None" in names else names


class _Route(GuardedStep):
    """Base of a step for each form of the data."""

    def __init__(
        self, guard: Guard, router: Router, names: Sequence[str], view: Any, types: tuple[Any, Any], isolate: bool
    ) -> None:
        super().__init__(guard)
        self._router, self._names, self._view, self._isolate = router, tuple(names), view, isolate
        self._tags, (self._output_type, self._input_batches) = _tags(names), types
        self._output_batches = self._input_batches

    def _output(self, place: int, values: Any) -> Any:
        return TaggedOutput(self._tags[place], values) if place else values

    def _measure(self, total: int, out: int, dead: int, placed: Sequence[int], began: float | None = None) -> None:
        self._guard.measure(total, out, dead, began, dict(zip(self._names, placed, strict=True)))


class _RouteElements(_Route):
    """Routes elements one by one. Each call per element costs time here, so counts are kept by places."""

    def setup(self) -> None:
        super().setup()
        view, choose, resolve = self._view, self._router.choose, self._router.resolve
        viewed = choose if view is None else lambda element: choose(view(element))
        self._place = viewed if resolve is None else lambda element: resolve([viewed(element)])[0]

    def start_bundle(self) -> None:
        super().start_bundle()
        self._next_place = self._guard.times.sampling(self._place)
        self._letters = 0
        self._tally: dict[Places, int] = defaultdict(int)

    def process(self, element: Any) -> Sequence[Any]:
        try:
            places = self._next_place()(element)
        except Exception as error:
            letter = self._guard.letter(element, error, sum(self._tally.values()) + self._letters)
            self._letters += 1
            return (TaggedOutput(DEAD, letter),)
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
        self._measure(sum(self._tally.values()) + self._letters, moved, self._letters, placed)


class _RouteBatches(_Route):
    def _chosen(self, batch: Sequence[Any]) -> tuple[Sequence[int], Sequence[Any], list[DeadLetter]]:
        """Indices and places of the elements that did not fail, and dead letters of those that did."""
        view, predicate, resolve = self._view, self._router.predicate, self._router.resolve
        views = batch if view is None else _made_views(batch, view) or map(view, batch)
        calls = map(self._router.choose, views) if predicate is None else map(truth, map(predicate, views))
        chosen, letters, failed = self._guard.results(calls, batch)
        indices = [i for i in range(len(batch)) if i not in failed] if failed else range(len(batch))
        return indices, chosen if resolve is None else resolve(chosen), letters

    def _by_output(self, items: Sequence[Any], places: Sequence[Any]) -> list[list[Any]]:
        """The items for each output."""
        if self._router.predicate is not None:
            kept = list(compress(items, places))
            return [kept] if len(self._names) == 1 else [kept, list(compress(items, map(not_, places)))]
        outputs: list[list[Any]] = [[] for _ in self._names]
        appends = [output.append for output in outputs]
        for item, chosen in zip(items, places, strict=True):
            for place in chosen:
                appends[place](item)
        return outputs

    def _outputs(self, outputs: Sequence[Any], total: int, letters: list[DeadLetter], began: float) -> Iterator[Any]:
        placed = [len(output) for output in outputs]
        # Only a pattern that drops nothing puts an element into two outputs.
        self._measure(total, min(sum(placed), total - len(letters)), len(letters), placed, began)
        yield from (self._output(place, output) for place, output in enumerate(outputs) if len(output))
        yield from dead_outputs(letters)


class _RouteLists(_RouteBatches):
    """Routes a list at a time: the form of queue messages."""

    def process_batch(self, batch: Any) -> Iterator[Any]:
        began = perf_counter()
        outputs: list[list[Any]]
        if self._router.predicate is not None and self._view is not None and len(self._names) == 1:
            kept, letters = self._filtered(batch, self._router.predicate, self._view)
            outputs = [kept]
        else:
            indices, places, letters = self._chosen(batch)
            outputs = self._by_output(batch if not letters else [batch[i] for i in indices], places)
        if self._isolate:
            outputs[:-1] = [[_isolated(element) for element in output] for output in outputs[:-1]]
        yield from self._outputs(outputs, len(batch), letters, began)

    def _filtered(self, batch: list[Any], predicate: Callable[[Any], Any], view: Callable[[Any], Any]) -> Any:
        """The kept elements with their views, and dead letters. A loop, because views are made here."""
        kept, letters = ViewedBatch(view), list[DeadLetter]()
        keep, keep_view = kept.append, kept.views.append
        elements = iter(batch)
        made = _made_views(batch, view)
        pairs = None if made is None else zip(elements, made, strict=True)
        while length_hint(elements):
            try:
                if pairs is None:
                    for element in elements:
                        seen = view(element)
                        if predicate(seen):
                            keep(element)
                            keep_view(seen)
                else:
                    for element, seen in pairs:
                        if predicate(seen):
                            keep(element)
                            keep_view(seen)
            except Exception as error:
                at = len(batch) - length_hint(elements) - 1
                letters.append(self._guard.letter(batch[at], error, at))
        return kept, letters


class _RouteTables(_RouteBatches):
    """Routes an Arrow table at a time: the form of rows."""

    def process_batch(self, batch: Any) -> Iterator[Any]:
        began = perf_counter()
        letters: list[DeadLetter] = []
        try:
            outputs = self._router.split_table(batch) if self._view is None else None
        except Exception:  # A column function fails for the whole table: the rows show which of them is the cause.
            outputs = None
        if outputs is None:
            outputs, letters = self._split_rows(batch)
        yield from self._outputs(outputs, batch.num_rows, letters, began)

    def _split_rows(self, table: pa.Table) -> tuple[list[pa.Table], list[DeadLetter]]:
        rows = rows_of(table, self._output_type)
        indices, places, letters = self._chosen(rows)
        return [table.take(pa.array(taken, pa.int64())) for taken in self._by_output(indices, places)], letters


def _made_views(batch: Sequence[Any], view: Callable[[Any], Any]) -> list[Any] | None:
    """The views that the Filter upstream made, if it has the same view."""
    return batch.views if isinstance(batch, ViewedBatch) and batch.view is view else None


def _isolated(element: Any) -> Any:
    return element if type(element) in _IMMUTABLE else copy.deepcopy(element)
