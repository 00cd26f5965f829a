"""YAML's `error_handling: {output: errors}`: an output of its own for what failed."""

from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.pvalue import PCollection

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import Guard, GuardedPattern, map_elements

from .items import as_message

__all__ = ["Errors", "Guarded", "error_output"]

_REMEDY = "Add error_handling: {output: errors} to send such elements elsewhere."


def error_output(error_handling: Any) -> str:
    """The name of the output for errors; empty if there is to be none.

    >>> error_output({"output": "errors"}), error_output(None)
    ('errors', '')
    >>> error_output({"file": "errors.csv"})
    Traceback (most recent call last):
    ValueError: error_handling is {output: NAME}, not {'file': 'errors.csv'}
    """
    if not error_handling:
        return ""
    if not isinstance(error_handling, Mapping) or set(error_handling) != {"output"}:
        raise ValueError(f"error_handling is {{output: NAME}}, not {error_handling!r}")
    return str(error_handling["output"])


class Errors:
    """Gathers the dead letters of one transform. It is the error handler that its patterns are given."""

    def __init__(self, output: str) -> None:
        self._output, self._found = output, list[PCollection]()

    def guard(self, pattern: GuardedPattern[Any, Any]) -> Any:
        """The pattern with its failures coming here; without an output for them they fail the run."""
        return pattern.with_error_handler(self) if self._output else pattern

    def add_error_pcollection(self, errors: PCollection) -> None:
        """What Beam's error handlers are told, too."""
        self._found.append(errors)

    def beside(self, outputs: Any, rows: Any) -> Any:
        """The outputs as YAML names them, with that for the errors of these rows."""
        if not self._output:
            return outputs
        named = {"good": outputs} if isinstance(outputs, PCollection) else dict(outputs)
        if self._output in named:
            raise ValueError(
                f"error_handling: there is an output {self._output!r} already; name that of errors otherwise"
            )
        types = {stream.element_type for stream in ([rows] if isinstance(rows, PCollection) else rows)}
        coder = registry.get_coder(types.pop()) if len(types) == 1 else None
        letters = self._found | "Gather" >> beam.Flatten()
        return {**named, self._output: letters | "Letters" >> beam.Map(_readable, coder).with_output_types(DeadLetter)}


class Guarded(GuardedPattern[PCollection[Any], PCollection[Any]]):
    """A function of each element, with its failures going where a pattern's go."""

    def __init__(self, function: Callable[[Any], Any], result_type: Any, step: str) -> None:
        super().__init__()
        self._function, self._type, self._step = function, result_type, step

    def expand(self, elements: PCollection) -> PCollection:
        """The function's results."""
        guard = Guard(self, elements.element_type, "the function", remedy=_REMEDY, step=self._step)
        return map_elements(self, elements, self._function, self._type, guard, verb="Try", label="Apply")


def _readable(letter: DeadLetter, coder: Coder | None) -> DeadLetter:
    """A row's payload as JSON: what Beam's coder wrote is of no use outside this run."""
    readable = letter.attributes and letter.attributes[0][0] == "readable"
    if not readable or coder is None or letter.payload is None:
        return letter
    try:
        payload = as_message(coder.decode(letter.payload)).value
        orjson.loads(payload or b"")
    except Exception:  # Then it was not this coder that wrote it.
        return letter
    return letter._replace(payload=payload, attributes=())
