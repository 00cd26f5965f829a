"""The map pattern."""

from collections.abc import Callable
from functools import partial
from typing import Any

from apache_beam.pvalue import PCollection

from .base.guard import Guard
from .base.hints import return_type
from .base.mapping import map_elements
from .base.message import Message, identified
from .base.pattern import GuardedPattern, Stream, T, U, single_input


class Map(GuardedPattern[PCollection[T], Stream[U]]):
    """Replaces each element by the result of a function.

    ```
    b'{"n": 1}'  b'{"n": 2}'  b'no' --> Map(parse) --> 1 2
                                           |
                                           +--> dead letters: no
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Map
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create(["1", "2"]) | Map(int) | beam.Map(print)
    1
    2

    Args:
        function: a function of one element, which returns one result.

    In: PCollection[T].
    Out: PCollection[U], U from the function's return annotation, or as Beam infers it; in lists if the elements came in
    lists or Arrow tables. A Message made of a Message gets an id that is made of the first one's, so that consumers
    recognise a repetition.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element on which `function` raises goes to the error handler as a DeadLetter, or fails the run.
    Over beam.Map: batches stay batches, an error handler, counters (`in` = `out` + `dead`).
    Source: Hohpe and Woolf, Enterprise Integration Patterns, chapter 8 (message translator).
    """

    def __init__(self, function: Callable[[T], U]) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(f"Map(function) must be a function of one element, not {function!r}")
        self._function = function

    def expand(self, elements: PCollection) -> Stream:
        single_input(self, elements)
        name = getattr(self._function, "__name__", self._function)
        guard = Guard(self, elements.element_type, f"the function {name}")
        result_type = return_type(self._function, elements.element_type)
        function = partial(_with_id, self._function) if elements.element_type is Message else self._function
        return map_elements(self, elements, function, result_type, guard, verb="Translate", label="Map")


def _with_id(function: Callable[[Any], Any], message: Message) -> Any:
    return identified(message, [function(message)])[0]
