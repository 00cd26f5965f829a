"""Values, conditions and merges over items, as a YAML pipeline gives them."""

import re
from collections.abc import Mapping
from typing import Any

from apache_beam.typehints import Any as AnyType

from .expression import Expression, Kind
from .item import ITEM, item_of

__all__ = ["CelCondition", "CelMerge", "CelValue", "OnRows"]

_FIELD = re.compile(r"\s*item\.(\w+)\s*")


class CelValue(Expression):
    """A value computed from one item. A list is a tuple, so that it can be a key.

    >>> CelValue("item.town + '/' + item.street")({"town": "Ulm", "street": "Neue Straße"})
    'Ulm/Neue Straße'
    >>> CelValue("[item.n, item.n * 2]")({"n": 1})
    (1, 2)

    Args:
        text: the expression, or what YAML and Beam made of its text.
        kind: what the value is used for.
    """

    def __init__(self, text: Any, kind: Kind = "value") -> None:
        super().__init__(_text(text), ITEM, kind)

    def __call__(self, item: Any) -> Any:
        """Returns the value for an item: a dict of fields, or what `item_of` returns."""
        return super().__call__({"item": item} if isinstance(item, dict) else item)

    def on_rows(self, fields: Mapping[str, Any]) -> "OnRows":
        """The same value of rows with these fields, and of messages, for patterns that have no view."""
        return OnRows(self, self.type_in(fields))

    def type_in(self, fields: Mapping[str, Any]) -> Any:
        """The value's Beam type for rows of these fields, as far as it is known before the run.

        >>> [CelValue(text).type_in({"n": int}) for text in ("item.n", "item.n * 2", "'a'")]
        [<class 'int'>, <class 'int'>, <class 'str'>]
        """
        field = _FIELD.fullmatch(str(self))
        known = fields.get(field[1], Any) if field else self.value_type
        return AnyType if known is Any else known


class CelCondition(CelValue):
    """Whether something is true of an item.

    >>> CelCondition("item.n > 1")({"n": 2})
    True
    """

    def __init__(self, text: Any) -> None:
        super().__init__(text, "condition")


class CelMerge(Expression):
    """A value made of two, `a` and `b`.

    >>> CelMerge("a.n > b.n ? a.n : b.n")({"n": 1}, {"n": 2})
    2
    """

    def __init__(self, text: Any) -> None:
        super().__init__(_text(text), {"a": Any, "b": Any}, "value")

    def __call__(self, a: Any, b: Any) -> Any:  # type: ignore[override]
        """Returns the value for two items."""
        return super().__call__({"a": a, "b": b})


class OnRows:
    """A value as a function of a row or message. Its annotations have the value's type, where patterns look for it."""

    def __init__(self, value: CelValue, value_type: Any) -> None:
        self._value, self.__name__, self.__annotations__ = value, str(value), {"return": value_type}

    def __call__(self, row: Any) -> Any:
        """Returns the value."""
        return self._value(item_of(row))


def _text(given: Any) -> str:
    if isinstance(given, Mapping) and set(given) == {"expression"}:  # Beam wraps the text of its own Filter in this.
        given = given["expression"]
    if isinstance(given, bool | int | float):  # YAML reads the text `1` as a number.
        given = str(given).lower()
    if not isinstance(given, str):
        raise TypeError(f"{given!r} is not CEL text such as 'item.amount > 10'")
    return given
