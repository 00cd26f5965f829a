"""The splitter pattern."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection

from .base.columns import ColumnPredicate, Predicate, checked_predicate
from .base.fan import branch_names, branches, checked_result
from .base.pattern import Out, T, U, ViewedPattern
from .base.routing import Router, route

_OTHERWISE = "otherwise"


class Splitter(ViewedPattern[PCollection[T], Out]):
    """Divides one stream of work items into several, by criteria.

    ```
                          +--> email:     orders to confirm by mail
    orders --> Splitter --+--> sms:       orders to confirm by text message
                          +--> otherwise: orders that match no case
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Splitter
    >>> orders = [{"id": 1, "by": "email"}, {"id": 2, "by": "sms"}, {"id": 3, "by": "fax"}]
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     split = p | beam.Create(orders) | Splitter.by(lambda order: order["by"], "email", "sms")
    ...     _ = split.sms | "Text" >> beam.Map(lambda order: print("text for", order["id"]))
    ...     _ = split["otherwise"] | "Rest" >> beam.Map(lambda order: print("no message for", order["id"]))
    text for 2
    no message for 3

    Args:
        cases: predicates (functions of one element or of its view, or pyarrow expressions) by the name of their branch;
            the first one that holds takes the element, in the order they are written. A name is any text, such as
            `Splitter(**{"e-mail": ...})`, but none of otherwise, in, out, dropped, dead, duplicates and dead-letters.

    In: PCollection[T].
    Out: a NamedTuple with one PCollection[T] per case, and `otherwise` for elements that match no case, so nothing is
    lost. `split["e-mail"]` works for all names, `split.email` for Python names. `.with_result(Split)` makes the result
    an instance of the NamedTuple class `Split`.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element on which a predicate raises goes to the error handler as a DeadLetter, or fails the run.
    Over beam.Partition: names instead of numbers, the unmatched rest, several matches, batches, errors, types.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-4.
    """

    _every_match = False
    _result: type[Any] | None = None

    def __init__(self, /, **cases: Predicate[T]) -> None:
        super().__init__()
        self._names = _names(tuple(cases))
        self._predicates = [checked_predicate(given, f"Splitter({name}=...)") for name, given in cases.items()]
        self._key: Callable[[Any], Any] | None = None

    @classmethod
    def by(cls, key: Callable[[T], object], *names: str) -> "Splitter[T, Any]":
        """Splits by a function's result: the branch with that name takes the element."""
        if not callable(key):
            raise TypeError(f"Splitter.by(key, ...) needs a function of one element first, not {key!r}")
        splitter = cls.__new__(cls)
        ViewedPattern.__init__(splitter)
        splitter._names, splitter._predicates, splitter._key = _names(names), [], key
        return splitter

    def with_every_match(self) -> Self:
        """Sends an element to every case that holds, as a Copier does: the branches are isolated."""
        if self._key is not None:
            raise ValueError(
                "Splitter.by sends an element to one branch; name cases, Splitter(a=..., b=...), for several"
            )
        return self._with(_every_match=True)

    def with_result(self, result: type[U]) -> "Splitter[T, U]":
        """Makes the result an instance of a NamedTuple class whose fields are the branches: type checkers know it."""
        return self._with(_result=checked_result(result, self._names, "Splitter"))  # type: ignore[return-value]

    def expand(self, elements: PCollection) -> Any:
        router: Router = _ByCase(self._predicates, self._names, self._every_match)
        if self._key is not None:
            router = _ByKey(self._key, self._names)
        outputs = route(self, elements, router, self._names, verb="Split", isolate=self._every_match)
        return branches("Split", self._names, outputs, self._result)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if _OTHERWISE in names:
        raise ValueError(
            "Splitter: 'otherwise' is the branch of elements that match no case; give this case another name"
        )
    return (*branch_names(names, "Splitter", least=1, any_text=True), _OTHERWISE)


class _ByKey(Router):
    def __init__(self, key: Callable[[Any], Any], names: tuple[str, ...]) -> None:
        self._key = key
        self._places = {name: (i,) for i, name in enumerate(names[:-1])}
        self._rest = (len(names) - 1,)
        self.user_code = f"the key function {getattr(key, '__name__', key)}"

    def choose(self, view: Any) -> tuple[int, ...]:
        return self._places.get(self._key(view), self._rest)


class _ByCase(Router):
    def __init__(self, predicates: list[Callable[[Any], Any]], names: tuple[str, ...], every_match: bool) -> None:
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
        cases = [case for _, case in self._cases if isinstance(case, ColumnPredicate)]
        if len(cases) < len(self._cases):
            return None
        masks, unmatched = [], pa.chunked_array([pa.repeat(True, table.num_rows)])
        for case in cases:
            mask = case.column(table)
            masks.append(mask if self._every_match else pc.and_(mask, unmatched))
            unmatched = pc.and_not(unmatched, mask)
        return [table.filter(mask) for mask in (*masks, unmatched)]
