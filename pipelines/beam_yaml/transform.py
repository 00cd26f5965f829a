"""What the transforms for YAML share: `error_handling: {output: errors}`, an output of its own for failed elements."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import Guard, GuardedPattern, map_elements

from .config import error_output
from .rows import as_message, restored

__all__ = ["Errors", "Guarded", "RowTransform", "Unconfigured", "streams_of"]

_REMEDY = "Add error_handling: {output: errors} to send such elements to another output."


class Errors(ErrorHandler):
    """Collects the dead letters of one transform, as the error handler of its patterns."""

    def __init__(self, output: str) -> None:
        super().__init__(None)
        self._output, self._letters = output, list[PCollection]()

    def guard(self, pattern: GuardedPattern[Any, Any]) -> Any:
        """The pattern, with failed elements sent here; without an output for errors they fail the run."""
        return pattern.with_error_handler(self) if self._output else pattern

    def add_error_pcollection(self, pcoll: PCollection) -> None:
        """The method of Beam's error handlers that patterns call."""
        self._letters.append(pcoll)

    def beside(self, outputs: Any, *inputs: PCollection) -> Any:
        """The outputs by name, with the output for failed elements of these inputs."""
        named = _named(outputs)
        if not self._output:
            return outputs if named is None else named
        named = {"good": outputs} if named is None else named
        if self._output in named:
            raise ValueError(f"error_handling: there is already an output {self._output!r}; use another name")
        types = {rows.element_type for rows in inputs}
        coder = registry.get_coder(types.pop()) if len(types) == 1 else None
        letters = self._letters | "Gather" >> beam.Flatten()
        return {**named, self._output: letters | "Letters" >> beam.Map(_readable, coder).with_output_types(DeadLetter)}


class RowTransform(beam.PTransform):
    """A pattern with rows in and out.

    Args:
        pattern: the pattern; a subclass whose pattern depends on its input overrides `_apply`.
        error_handling: as YAML gives it.
    """

    def __init__(self, pattern: Any = None, error_handling: Any = None) -> None:
        super().__init__()
        self._pattern, self._error_output = pattern, error_output(error_handling)

    def expand(self, rows: Any) -> Any:
        """The pattern's outputs by name."""
        errors, rows = Errors(self._error_output), restored(rows)
        return errors.beside(self._apply(rows, errors), rows)

    def _apply(self, rows: PCollection, errors: Errors) -> Any:
        return rows | self.label >> errors.guard(self._pattern)


class Unconfigured(beam.PTransform):
    """A transform that has inputs and no configuration. Beam reads the configuration from the constructor."""

    def __init__(self) -> None:
        super().__init__()


class Guarded(GuardedPattern[Any, Any]):
    """A function of each element, whose failures count as those of another step."""

    def __init__(self, function: Callable[[Any], Any], result_type: Any, step: str) -> None:
        super().__init__()
        self._function, self._type, self._step = function, result_type, step

    def expand(self, elements: PCollection) -> PCollection:
        """The function's results."""
        guard = Guard(self, elements.element_type, "the function", remedy=_REMEDY, step=self._step)
        return map_elements(self, elements, self._function, self._type, guard, verb="Try", label="Apply")


def streams_of(inputs: Any) -> dict[str, PCollection]:
    """The inputs of a transform by name, whether YAML names one or several."""
    return {"input": inputs} if isinstance(inputs, PCollection) else dict(inputs)


def _named(outputs: Any) -> dict[str, PCollection] | None:
    """A pattern's outputs by name; numbered ones are shards. None for a single output."""
    if isinstance(outputs, PCollection):
        return None
    if isinstance(outputs, dict):
        return outputs
    names = getattr(outputs, "_fields", None) or [f"shard_{number}" for number in range(len(outputs))]
    return dict(zip(names, outputs, strict=True))


def _readable(letter: DeadLetter, coder: Coder | None) -> DeadLetter:
    """The letter with a row's payload as JSON, because nothing outside this run can decode Beam's own coding."""
    readable = letter.attributes and letter.attributes[0][0] == "readable"
    if not readable or coder is None or letter.payload is None:
        return letter
    try:
        payload = as_message(coder.decode(letter.payload)).value
        orjson.loads(payload or b"")
    except Exception:  # Another coder wrote the payload.
        return letter
    return letter._replace(payload=payload, attributes=())
