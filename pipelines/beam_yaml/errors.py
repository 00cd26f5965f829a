"""YAML's `error_handling: {output: errors}`: an output of its own for what failed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_patterns.transforms import DeadLetter, ElementError
from beam_patterns.transforms.core.routing import Pattern, shortened

from .items import as_message

__all__ = ["Errors", "Guarded", "error_output"]

_DEAD = "dead-letters"


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

    def guard(self, pattern: Pattern) -> Any:
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


class Guarded(Pattern):
    """A function of each element, with its failures going where a pattern's go."""

    def __init__(self, function: Callable[[Any], Any], result_type: Any, step: str) -> None:
        super().__init__()
        self._function, self._type, self._step = function, result_type, step

    def expand(self, elements: PCollection) -> PCollection:
        """The function's results."""
        coder = registry.get_coder(elements.element_type)
        step = beam.ParDo(_Try(self._function, self._step, coder, self._handler is not None))
        step.label = "Apply"  # Else the class name would be a label.
        outputs = elements | "Try" >> step.with_outputs(_DEAD, main="good")
        outputs.good.element_type, outputs[_DEAD].element_type = self._type, DeadLetter
        if self._handler is not None:
            self._handler.add_error_pcollection(outputs[_DEAD])
        return outputs.good


class _Try(beam.DoFn):
    def __init__(self, function: Callable[[Any], Any], step: str, coder: Coder, guarded: bool) -> None:
        self._function, self._step, self._coder, self._guarded = function, step, coder, guarded

    def process(self, element: Any) -> Iterator[Any]:
        try:
            result = self._function(element)
        except Exception as error:
            if not self._guarded:
                raise ElementError(
                    f"{self._step}: {error}, on {shortened(element)}. "
                    "Add error_handling: {output: errors} to send such elements elsewhere."
                ) from error
            yield TaggedOutput(_DEAD, DeadLetter.of(element, error, step=self._step, coder=self._coder))
        else:
            yield result


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
