"""The parameters of a kind of queue, `?name=value` in its URI: a table for the check, the docs and the errors."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .uri import QueueUri

__all__ = ["Parameter", "one_of", "parsed", "seconds", "whole_number"]


class Parameter(NamedTuple):
    """One parameter.

    >>> idle = Parameter("idle", "How long to wait.", default=30.0, type=seconds(1))
    >>> parsed([idle], QueueUri.parse("pubsub://project/name?idle=5"))
    {'idle': 5.0}
    """

    name: str
    help: str
    """One sentence, for docs/queues.md."""
    default: Any = ""
    type: Callable[[str], Any] = str
    """Turns the text into a value. Raises ValueError with what to write instead: "write seconds, such as 30"."""


def parsed(
    parameters: Sequence[Parameter], uri: QueueUri, allows: Callable[[str], bool] | None = None
) -> dict[str, Any]:
    """The value of each parameter.

    Raises ValueError for a parameter that is not in the table, because a misspelt one must not be silently ignored.

    Args:
        parameters: the table.
        uri: the queue's URI.
        allows: tells whether a name that is not in the table is allowed too.
    """
    known = [parameter.name for parameter in parameters]
    for name in uri.params:
        if name not in known and not (allows and allows(name)):
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
    """The type of a parameter with few possible values."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"known are {', '.join(choices)}")
        return text

    return parse


def whole_number(unit: str, example: str, least: int = 0) -> Callable[[str], int]:
    """The type of a parameter that is a whole number of something: `whole_number("milliseconds", "linger=50")`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"write {unit}, such as {example}")
        return int(text)

    return parse


def seconds(least: float, example: str = "30") -> Callable[[str], float]:
    """The type of a parameter that is a number of seconds."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) < least:
            raise ValueError(f"write seconds, at least {least:g}, such as {example}")
        return float(text)

    return parse
