"""What a YAML pipeline asks of an item: conditions and keys, as CEL text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.typehints import Any as AnyType

from beam_patterns.pipelines.cel.expression import ANYTHING, CONDITION, Expression, Kind
from beam_patterns.pipelines.runtime.options import duration

from .items import item_of

__all__ = ["Ask", "Holds", "Merging", "OfRows", "asks", "listed", "mapped", "seconds"]

_ITEM = {"item": "DYN"}
_FIELD = re.compile(r"\s*item\.(\w+)\s*")
_TYPES = {"STRING": str, "INT": int, "DOUBLE": float, "BOOL": bool, "BYTES": bytes}


class Ask(Expression):
    """A question about one item, which it calls `item`: a row's fields, or the JSON in a message.

    >>> Ask("item.town + '/' + item.street")({"town": "Ulm", "street": "Neue Straße"})
    'Ulm/Neue Straße'
    >>> Ask("[item.n, item.n * 2]")({"n": 1})
    (1, 2)

    Args:
        text: the expression; see https://cel.dev.
    """

    def __init__(self, text: Any, variables: Mapping[str, str] = _ITEM, kind: Kind = ANYTHING) -> None:
        if isinstance(text, Mapping) and set(text) == {"expression"}:  # What Beam makes of the text of its own Filter.
            text = text["expression"]
        if isinstance(text, bool | int | float):  # YAML has taken `1` for a number.
            text = str(text).lower()
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no CEL text such as 'item.amount > 10'")
        super().__init__(text, variables, kind)
        self.__name__ = text

    def __call__(self, item: Any) -> Any:
        """The answer for an item, as Python's values; lists are tuples, so that they can be keys."""
        return _python(super().__call__({"item": item}))

    def of_rows(self, answer_type: Any) -> "OfRows":
        """The same question about rows and messages, for patterns that have no view."""
        return OfRows(self, answer_type)

    def type_in(self, fields: Mapping[str, Any]) -> Any:
        """The type of the answer for rows of these fields, as far as it is known before the run.

        >>> Ask("item.n").type_in({"n": int}), Ask("item.n * 2").type_in({"n": int}), Ask("'a'").type_in({})
        (<class 'int'>, <class 'int'>, <class 'str'>)
        """
        field = _FIELD.fullmatch(str(self))
        known = fields.get(field[1]) if field else _TYPES.get(self._expression.return_type().name())
        return AnyType if known is None else known

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.__name__ = self._text


class OfRows:
    """A question about a row or a message. The type of its answer is where patterns look for that of a function's."""

    def __init__(self, ask: Ask, answer_type: Any) -> None:
        self._ask, self.__name__, self.__annotations__ = ask, str(ask), {"return": answer_type}

    def __call__(self, row: Any) -> Any:
        """The answer."""
        return self._ask(item_of(row))


class Holds(Ask):
    """A question whose answer is true or false.

    >>> Holds("item.n > 1")({"n": 2})
    True
    """

    def __init__(self, text: Any) -> None:
        super().__init__(text, kind=CONDITION)


class Merging(Ask):
    """What becomes of two items, which it calls `a` and `b`.

    >>> Merging("a.n > b.n ? a.n : b.n")({"n": 1}, {"n": 2})
    2
    """

    def __init__(self, text: Any) -> None:
        super().__init__(text, {"a": "DYN", "b": "DYN"})

    def __call__(self, a: Any, b: Any) -> Any:  # type: ignore[override]
        """The answer for two items."""
        return _python(Expression.__call__(self, {"a": a, "b": b}))


def asks(given: Any, where: str) -> dict[str, Ask]:
    """Questions by the name of the field that their answer becomes.

    >>> asks("item.region", "Sum: key")
    Traceback (most recent call last):
    TypeError: Sum: key is a mapping, such as {region: item.region}, not 'item.region'
    """
    return {name: Ask(text) for name, text in mapped(given, where, "region: item.region").items()}


def mapped(given: Any, where: str, example: str) -> Mapping[str, Any]:
    """A mapping that YAML has; a TypeError for anything else."""
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"{where} is a mapping, such as {{{example}}}, not {given!r}")
    return given


def listed(given: Any, where: str, example: str) -> Sequence[Any]:
    """A list that YAML has; a TypeError for anything else, as text is a list of letters to Python."""
    if not isinstance(given, list | tuple):
        raise TypeError(f"{where} is a list, such as [{example}], not {given!r}")
    return given


def seconds(given: Any, where: str) -> float:
    """A span of time, in seconds.

    >>> seconds(30, "WorkQueue: timeout")
    Traceback (most recent call last):
    ValueError: WorkQueue: timeout: '30' is no span of time, such as 90s, 15m or 12h
    """
    try:
        return duration(str(given)).total_seconds()
    except ValueError as error:
        raise ValueError(f"{where}: {error}, such as 90s, 15m or 12h") from None


def _python(value: Any) -> Any:
    """Values inside of CEL's lists and maps are still CEL's."""
    if hasattr(value, "type"):
        value = value.value()
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, list | tuple):
        return tuple([_python(part) for part in value])
    if isinstance(value, dict):
        return {_python(key): _python(part) for key, part in value.items()}
    return value
