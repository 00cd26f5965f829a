"""Base classes of all patterns, and `Stream`: a PCollection for which type checkers know what `|` returns."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, overload

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from .breaker import Breaker

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # A lambda's parameter binds nothing: without the bound, pyright treats it as an object without attributes.
    T = TypeVar("T", bound=Any, default=Any)
    U = TypeVar("U", bound=Any, default=Any)
    In = TypeVar("In", default=Any)
    Out = TypeVar("Out", default=Any)

    class SameElements:
        """A pattern whose output has the type of its input, whatever type its user code accepts."""

    class Stream(PCollection[T]):
        """A PCollection."""

        @overload
        def __or__(self, transform: SameElements) -> "Stream[T]": ...
        @overload
        def __or__(self, transform: beam.PTransform[Any, Out]) -> Out: ...
        def __or__(self, transform: Any) -> Any: ...

else:
    from typing import TypeVar

    T, U, In, Out = TypeVar("T"), TypeVar("U"), TypeVar("In"), TypeVar("Out")
    SameElements, Stream = object, PCollection


class Pattern(beam.PTransform[In, Out]):
    """A transform that counts what it does, and whose `.with_*` methods return a changed copy."""

    _handler: ErrorHandler | None = None
    _breaker: Breaker | None = None

    if TYPE_CHECKING:  # The types of `p | pattern` and `"Label" >> pattern`, which Beam does not annotate.

        def __ror__(self, left: Any, label: str | None = None) -> Out: ...
        def __rrshift__(self, label: str) -> Self: ...

    def _with(self, **changes: Any) -> Self:
        changed = copy.copy(self)
        vars(changed).update(changes)
        return changed


class GuardedPattern(Pattern[In, Out]):
    """A pattern that runs user code, or reads or writes data that may be broken: elements may fail one by one."""

    def with_error_handler(self, handler: ErrorHandler | None) -> Self:
        """Sends failed elements to this handler as DeadLetters; without a handler the first failure fails the run."""
        return self._with(_handler=handler)

    def with_breaker(self, share: float = 0.5, of_last: int = 1000) -> Self:
        """Stops the run when this share of the last `of_last` items failed the same way: a broken deployment.

        Each worker counts for itself. What was written stays; what was not committed is read again by the next run.
        Needs an error handler: without one the first failure ends the run.
        """
        if not 0 < share <= 1:
            raise ValueError(f"with_breaker(share={share!r}): give a share above 0 and at most 1, such as 0.5")
        if not isinstance(of_last, int) or of_last < 1:
            raise ValueError(f"with_breaker(of_last={of_last!r}): give a number of items, 1 or more")
        return self._with(_breaker=Breaker(share, of_last))


class ViewedPattern(GuardedPattern[In, Out]):
    """A pattern whose user code gets a view of the element, while the element itself passes on."""

    _view: Callable[[Any], Any] | None = None

    def with_view(self, view: Callable[[Any], Any]) -> Self:
        """Calls user code with `view(element)`, made once per element: `.with_view(Message.json)`.

        A pattern downstream of a Filter with the same view gets the Filter's views, so user code must not change them.
        """
        if not callable(view):
            raise TypeError(f"with_view needs a function of one element, such as Message.json, not {view!r}")
        return self._with(_view=view)


def single_input(pattern: beam.PTransform, elements: Any) -> None:
    """Raises TypeError unless a pattern of one input was given one PCollection."""
    if not isinstance(elements, PCollection):
        raise TypeError(
            f"{type(pattern).__name__} takes one PCollection, not {type(elements).__name__}; "
            "merge several with Merger() first"
        )
