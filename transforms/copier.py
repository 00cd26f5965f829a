"""The copier pattern."""

from typing import Any, Self

import pyarrow as pa
from apache_beam.pvalue import PCollection

from .base.fan import branch_names, branches, checked_result
from .base.pattern import Out, Pattern, U
from .base.routing import Router, route


class Copier(Pattern[PCollection[Any], Out]):
    """Duplicates one stream of work items into two or more identical streams.

    ```
                        +--> uhd:    a b c
    a b c --> Copier ---+
                        +--> mobile: a b c
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Copier
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     copies = p | beam.Create(["a.mp4"]) | Copier("uhd", "mobile")
    ...     _ = copies.uhd | "Big" >> beam.Map(lambda name: print("uhd", name))
    ...     _ = copies.mobile | "Small" >> beam.Map(lambda name: print("mobile", name))
    uhd a.mp4
    mobile a.mp4

    Args:
        names: the branches, each a Python name; they become the fields of the result.

    In: PCollection[T].
    Out: a NamedTuple with one PCollection[T] per name; `.with_result(Copies)` makes it the NamedTuple class `Copies`.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element that can't be copied, such as a socket, fails the run; no user code needs a guard.
    Over using a PCollection twice: Beam passes the same object to every consumer, so a branch that changes its element
    also changes it for the other branches; here each branch has its own copy. Immutable elements (messages, strings,
    Arrow tables) are not copied; `.with_shared_elements()` copies nothing.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-2.
    """

    _isolate = True
    _result: type[Any] | None = None

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = branch_names(names, "Copier")

    def with_shared_elements(self) -> Self:
        """Gives all branches the same object: for consumers that do not change it."""
        return self._with(_isolate=False)

    def with_result(self, result: type[U]) -> "Copier[U]":
        """Makes the result an instance of a NamedTuple class whose fields are the branches: type checkers know it."""
        return self._with(_result=checked_result(result, self._names, "Copier"))  # type: ignore[return-value]

    def expand(self, elements: PCollection) -> Any:
        outputs = route(self, elements, _ToAll(len(self._names)), self._names, verb="Copy", isolate=self._isolate)
        return branches("Copies", self._names, outputs, self._result)


class _ToAll(Router):
    def __init__(self, copies: int) -> None:
        self._places = tuple(range(copies))

    def choose(self, view: Any) -> tuple[int, ...]:
        return self._places

    def split_table(self, table: pa.Table) -> list[pa.Table]:
        return [table for _ in self._places]
