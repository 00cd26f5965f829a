"""Checks of what a YAML pipeline configures."""

from collections.abc import Mapping, Sequence
from typing import Any

from beam_patterns.pipelines import duration
from beam_patterns.pipelines.cel.values import CelValue

__all__ = ["ErrorHandling", "Schema", "cel_values", "error_output", "list_of", "mapping_of", "seconds"]

ErrorHandling = Mapping[str, str] | None
Schema = Mapping[str, Any] | None


def mapping_of(given: Any, where: str, example: str) -> Mapping[str, Any]:
    """The given mapping. Raises TypeError for anything else."""
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"{where} must be a mapping such as {{{example}}}, not {given!r}")
    return given


def list_of(given: Any, where: str, example: str) -> Sequence[Any]:
    """The given list. Raises TypeError for anything else, such as text, which Python would split into letters."""
    if not isinstance(given, list | tuple):
        raise TypeError(f"{where} must be a list such as [{example}], not {given!r}")
    return given


def cel_values(given: Any, where: str) -> dict[str, CelValue]:
    """Values of an item, by the names of the fields that they become.

    >>> cel_values("item.region", "Sum: key")
    Traceback (most recent call last):
    TypeError: Sum: key must be a mapping such as {region: item.region}, not 'item.region'
    """
    return {name: CelValue(text) for name, text in mapping_of(given, where, "region: item.region").items()}


def seconds(given: Any, where: str) -> float:
    """The number of seconds of a duration.

    >>> seconds("15m", "WorkQueue: timeout")
    900.0
    >>> seconds(30, "WorkQueue: timeout")
    Traceback (most recent call last):
    ValueError: WorkQueue: timeout: '30' is not a duration such as 90s, 15m or 12h
    """
    try:
        return duration(str(given)).total_seconds()
    except ValueError:
        raise ValueError(f"{where}: {str(given)!r} is not a duration such as 90s, 15m or 12h") from None


def error_output(error_handling: Any) -> str:
    """The name of the output for errors; empty if there is none.

    >>> error_output({"output": "errors"}), error_output(None)
    ('errors', '')
    >>> error_output({"file": "errors.csv"})
    Traceback (most recent call last):
    ValueError: error_handling must be {output: NAME}, not {'file': 'errors.csv'}
    """
    if not error_handling:
        return ""
    if not isinstance(error_handling, Mapping) or set(error_handling) != {"output"}:
        raise ValueError(f"error_handling must be {{output: NAME}}, not {error_handling!r}")
    return str(error_handling["output"])
