"""`Stream`: a PCollection for which type checkers know what `|` returns. Beam's own `|` has no annotations."""

from typing import TYPE_CHECKING, Any, overload

import apache_beam as beam
from apache_beam.pvalue import PCollection

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # A lambda's parameter binds nothing: without the bound, pyright takes it for an object that has no attributes.
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
