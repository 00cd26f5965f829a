"""The `item` of an expression: the JSON in a message, or the fields of a row. The types of options about it."""

import re
from collections.abc import Mapping
from typing import Any

from beam_patterns.transforms.queues import Message

from .expression import Expression, bound, check_text

__all__ = ["ITEM", "cases", "condition", "item_of", "item_value", "key", "plain"]

#: The variable of expressions about an item.
ITEM: dict[str, Any] = {"item": Any}
_PLAIN = (str, bytes, bool, int, float, type(None))
_CASE = re.compile(r"\s*(\w+)\s*:(.*)", re.S)
#: A string of CEL, raw strings first, because a backslash in them stands for itself; otherwise any character.
_TOKEN = re.compile(r"""[rR]("{3}|'{3}|["'])(?:(?!\1).)*\1|("{3}|'{3}|["'])(?:\\.|(?!\2).)*\2|.""", re.S)
_FORM = "a case is a name, a colon and a condition"


def item_of(element: Any) -> Any:
    """The view of a message or row for expressions, converted once per element.

    >>> condition("item.n > 1")(item_of(Message(b'{"n": 2}')))
    True
    """
    return bound({"item": item_value(element)})


def item_value(element: Any) -> Any:
    """The item as Python values. Raises ValueError for invalid JSON, and for text that CEL would cut off."""
    if not isinstance(element, Message):
        value = plain(element)
    else:
        try:
            value = element.json()
        except ValueError as error:
            raise ValueError(f"not valid JSON: {error}") from None
        if b"\\u0000" not in element.value:  # type: ignore[operator]  # A message without a payload is not JSON.
            return value
    check_text("item", value)
    return value


def plain(value: Any) -> Any:
    """A row as a dict of plain values, as JSON and CEL know them. Times and decimals become text.

    >>> import apache_beam as beam
    >>> plain(beam.Row(id=1, tags=("a", "b"), at=beam.utils.timestamp.Timestamp(0)))
    {'id': 1, 'tags': ['a', 'b'], 'at': '1970-01-01T00:00:00Z'}
    """
    if isinstance(value, _PLAIN):
        return value
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "to_rfc3339"):
        return value.to_rfc3339()
    return value.item() if hasattr(value, "item") else str(value)


def condition(text: str) -> Expression:
    """The type of an option that is a condition on items."""
    return Expression(text, ITEM)


def key(text: str) -> Expression | None:
    """The type of an option that is a key made of items; None for an empty text."""
    return Expression(text, ITEM, "key") if text else None


def cases(text: str) -> Mapping[str, Expression]:
    """The type of an option that names conditions: `email: item.tell == "email"; sms: item.tell == "sms"`.

    >>> {name: str(case) for name, case in cases('a: item.text == "x; y"; b: has(item.c) ? item.c : false').items()}
    {'a': 'item.text == "x; y"', 'b': 'has(item.c) ? item.c : false'}
    """
    found: dict[str, Expression] = {}
    for part in _parts(text):
        named = _CASE.fullmatch(part)
        if not named:
            raise ValueError(f"{part.strip()!r} is not a case; {_FORM}")
        name, given = named.groups()
        if name in found:
            raise ValueError(f"there are two cases named {name!r}; give each case its own name")
        try:
            found[name] = condition(given.strip())
        except ValueError as error:
            raise ValueError(f"case {name!r}: {error}") from None
    if not found:
        raise ValueError(f"{text!r} has no case; {_FORM}")
    return found


def _parts(text: str) -> list[str]:
    """Splits at semicolons, except in strings."""
    parts = [""]
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            parts.append("")
        else:
            parts[-1] += token[0]
    return [part for part in parts if part.strip()]
