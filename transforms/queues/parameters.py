"""The parameters in a queue's URI, `?name=value`: one table per kind for checks, error messages and docs/queues.md."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .uri import QueueUri

__all__ = ["Parameter", "number", "one_of", "parse_parameters"]


class Parameter(NamedTuple):
    """One parameter of a URI.

    >>> idle = Parameter("idle", "How long to wait.", default=30.0, type=number("seconds", "idle=30", kind=float))
    >>> parse_parameters([idle], QueueUri.parse("pubsub://project/name?idle=5"))
    {'idle': 5.0}
    """

    name: str
    help: str
    """One sentence: what the value means."""
    default: Any = ""
    type: Callable[[str], Any] = str
    """Converts the text to a value. Raises ValueError with what to write instead: "write seconds, such as 30"."""


def parse_parameters(
    parameters: Sequence[Parameter], uri: QueueUri, allows_parameter: Callable[[str], bool] = lambda name: False
) -> dict[str, Any]:
    """The value of each parameter in the table.

    Raises ValueError for a parameter that is neither in the table nor allowed: a misspelt one must not be ignored.
    """
    known = [parameter.name for parameter in parameters]
    for name in uri.params:
        if name not in known and not allows_parameter(name):
            raise ValueError(
                f"the queue {uri.text} has an unknown parameter {name!r}; known are {', '.join(known) or 'none'}"
            )
    return {parameter.name: _value(parameter, uri) for parameter in parameters}


def _value(parameter: Parameter, uri: QueueUri) -> Any:
    text = uri.params.get(parameter.name)
    if text is None:
        return parameter.default
    try:
        return parameter.type(text)
    except ValueError as error:
        raise ValueError(f"the queue {uri.text} has {parameter.name}={text}; {error}") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """The type of a parameter that is one of a few values."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"known are {', '.join(choices)}")
        return text

    return parse


def number(unit: str, example: str, least: float = 0, kind: type[Any] = int) -> Callable[[str], Any]:
    """The type of a parameter that is a number, at least `least`: `number("milliseconds", "linger=50")`."""

    def parse(text: str) -> Any:
        if not re.fullmatch(r"\d+" if kind is int else r"\d+(\.\d+)?", text) or kind(text) < least:
            raise ValueError(f"write {unit}, such as {example}")
        return kind(text)

    return parse
