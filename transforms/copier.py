"""The copier pattern."""

import keyword
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from .core.routing import RESERVED, Pattern, Router, route

__all__ = ["Copier"]


class Copier(Pattern):
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
    Out: a NamedTuple with one PCollection[T] per name.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element that can't be copied (a socket, say) fails the run; there is no user code to guard.
    Over using a PCollection twice: Beam hands the same object to every consumer, so a branch that changes its element
    changes what the others see; here each branch has its own. Immutable elements (messages, strings, Arrow tables) are
    not copied, `.with_shared_elements()` opts out for all.
    Source: Burns, Designing Distributed Systems, chapter 11, figure 11-2.
    """

    _isolate = True

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = branches(names, "Copier")

    def with_shared_elements(self) -> "Copier":
        """All branches see the same object: for consumers known not to change it."""
        return self._with(_isolate=False)

    def expand(self, elements: beam.PCollection) -> Any:
        """One branch per name."""
        outputs = route(self, elements, _Everywhere(len(self._names)), self._names, verb="Copy", isolate=self._isolate)
        return namedtuple("Copies", self._names)(*outputs)


class _Everywhere(Router):
    def __init__(self, copies: int) -> None:
        self._places = tuple(range(copies))

    def ask(self, view: Any) -> tuple[int, ...]:
        return self._places

    def place_table(self, table: pa.Table) -> list[pa.Table]:
        return [table for _ in self._places]


def branches(names: Sequence[str], pattern: str, least: int = 2) -> tuple[str, ...]:
    """The names of a fan-out's outputs, checked: they become fields of a NamedTuple and names of counters."""
    if len(names) < least:
        raise ValueError(f"{pattern} needs at least {least} branches, got {len(names)}: {', '.join(map(repr, names))}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{pattern}: a branch is named by a string, not {name!r}")
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name in RESERVED:
            raise ValueError(
                f"{pattern}: {name!r} can't name a branch; take a Python name without a leading underscore, "
                f"that is no keyword and none of {', '.join(RESERVED)}"
            )
        if list(names).count(name) > 1:
            raise ValueError(f"{pattern}: the branch {name!r} is named twice; give each branch a name of its own")
    return tuple(names)
