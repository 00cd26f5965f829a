"""The splitter pattern."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from .base.fan import branch_names
from .base.pattern import ViewedPattern
from .base.predicates import ColumnPredicate, Predicate, predicate
from .base.routing import Router, route

__all__ = ["Splitter"]

_OTHERWISE = "otherwise"


class Splitter(ViewedPattern):
    """Divides one stream of work items into several, by criteria.

    ```
                          +--> email:     orders to tell by mail
    orders --> Splitter --+--> sms:       orders to tell by text message
                          +--> otherwise: what matches nothing
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Splitter
    >>> orders = [{"id": 1, "tell": "email"}, {"id": 2, "tell": "sms"}, {"id": 3, "tell": "fax"}]
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     split = p | beam.Create(orders) | Splitter.by(lambda order: order["tell"], "email", "sms")
    ...     _ = split.sms | "Text" >> beam.Map(lambda order: print("text for", order["id"]))
    ...     _ = split.otherwise | "Nobody" >> beam.Map(lambda order: print("nobody told of", order["id"]))
    text for 2
    nobody told of 3

    Args:
        cases: predicates (functions of one element or of its view, or pyarrow expressions) by the name of their branch;
            the first that holds takes the element, in the order they are written.

    In: PCollection[T].
    Out: a NamedTuple with one PCollection[T] per case, and `otherwise` for what matches none, so nothing is lost.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element on which a predicate raises goes to the error handler as a DeadLetter, or fails the run.
    Over beam.Partition: names instead of numbers, the unmatched rest, several matches, batches, errors, types.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-4.
    """

    _every_match = False

    def __init__(self, /, **cases: Any) -> None:
        super().__init__()
        self._names = _names(tuple(cases))
        self._predicates = [predicate(given, f"Splitter({name}=...)") for name, given in cases.items()]
        self._key: Callable[[Any], Any] | None = None

    @classmethod
    def by(cls, key: Callable[[Any], Any], *names: str) -> "Splitter":
        """Splits by a function's result: the branch with that name takes the element."""
        if not callable(key):
            raise TypeError(f"Splitter.by(key, ...) takes a function of one element first, not {key!r}")
        splitter = cls.__new__(cls)
        ViewedPattern.__init__(splitter)
        splitter._names, splitter._predicates, splitter._key = _names(names), [], key
        return splitter

    def with_every_match(self) -> "Splitter":
        """An element goes to every case that holds: a splitter that is a copier too, branches isolated as there."""
        if self._key is not None:
            raise ValueError(
                "Splitter.by sends an element to one branch; name cases, Splitter(a=..., b=...), for several"
            )
        return self._with(_every_match=True)

    def expand(self, elements: beam.PCollection) -> Any:
        """One branch per case, and the rest."""
        router = (
            _ByKey(self._key, self._names)
            if self._key is not None
            else _ByCase(self._predicates, self._names, self._every_match)
        )
        outputs = route(self, elements, router, self._names, verb="Split", isolate=self._every_match)
        return namedtuple("Split", self._names)(*outputs)


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    if _OTHERWISE in names:
        raise ValueError("Splitter: 'otherwise' is the branch of what matches no case; name this case differently")
    return (*branch_names(names, "Splitter", least=1), _OTHERWISE)


class _ByKey(Router):
    def __init__(self, key: Callable[[Any], Any], names: tuple[str, ...]) -> None:
        self._key = key
        self._places = {name: (i,) for i, name in enumerate(names[:-1])}
        self._rest = (len(names) - 1,)
        self.user_code = f"the key function {getattr(key, '__name__', key)}"

    def choose(self, view: Any) -> tuple[int, ...]:
        return self._places.get(self._key(view), self._rest)


class _ByCase(Router):
    def __init__(self, predicates: list[Predicate], names: tuple[str, ...], every_match: bool) -> None:
        self._cases = [((i,), case) for i, case in enumerate(predicates)]
        self._rest = (len(predicates),)
        self._every_match = every_match
        if len(predicates) == 1:
            self.predicate = predicates[0]
        self.user_code = f"a predicate of {', '.join(names[:-1])}"

    def choose(self, view: Any) -> tuple[int, ...]:
        if self._every_match:
            return tuple(i for (i,), case in self._cases if case(view)) or self._rest
        for place, case in self._cases:
            if case(view):
                return place
        return self._rest

    def split_table(self, table: pa.Table) -> list[pa.Table] | None:
        if not all(isinstance(case, ColumnPredicate) for _, case in self._cases):
            return None
        masks = []
        free = pa.chunked_array([pa.repeat(True, table.num_rows)])
        for _, case in self._cases:
            mask = case.mask(table)  # type: ignore[attr-defined]
            masks.append(mask if self._every_match else pc.and_(mask, free))
            free = pc.and_not(free, mask)
        return [table.filter(mask) for mask in (*masks, free)]
