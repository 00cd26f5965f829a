"""What parameters ask of messages: conditions and keys in CEL over `item`, which is the payload's JSON."""

import re
from collections.abc import Mapping
from typing import Any

from beam_patterns.transforms.queues import Message

from .expression import CONDITION, KEY, Expression, bound

__all__ = ["cases", "condition", "item_of", "key"]

_VARIABLES = {"item": "DYN"}
_CASE = re.compile(r"\s*(\w+)\s*:(.*)", re.S)
#: A string of CEL, raw ones first, as in them a backslash stands for itself; or else any character.
_TOKEN = re.compile(r"""[rR]("{3}|'{3}|["'])(?:(?!\1).)*\1|("{3}|'{3}|["'])(?:\\.|(?!\2).)*\2|.""", re.S)
#: The character U+0000, as JSON writes it.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def item_of(message: Message) -> Any:
    """The view that conditions and keys are asked about, made once per message.

    >>> condition("item.n > 1")(item_of(Message(b'{"n": 2}')))
    True
    """
    try:
        data = message.json()
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if b"\\u0000" in (message.value or b"") and _NUL.search(message.value or b""):
        raise ValueError("there is a character U+0000 in it, at which text would end for CEL")
    return bound({"item": data})


def condition(text: str) -> Expression:
    """The type of an option that is a condition on items."""
    return Expression(text, _VARIABLES, CONDITION)


def key(text: str) -> Expression | None:
    """The type of an option that is a key made of items; empty, it is none."""
    return Expression(text, _VARIABLES, KEY) if text else None


def cases(text: str) -> Mapping[str, Expression]:
    """The type of an option that names conditions: `email: item.tell == "email"; sms: item.tell == "sms"`.

    >>> {name: str(case) for name, case in cases('a: item.text == "x; y"; b: has(item.c) ? item.c : false').items()}
    {'a': 'item.text == "x; y"', 'b': 'has(item.c) ? item.c : false'}
    """
    found: dict[str, Expression] = {}
    for part in _parts(text):
        named = _CASE.fullmatch(part)
        if not named:
            raise ValueError(f"{part.strip()!r} is no case, which is a name, a colon and a condition")
        name, asked = named.groups()
        if name in found:
            raise ValueError(f"the case {name!r} is there twice; give each a name of its own")
        try:
            found[name] = condition(asked.strip())
        except ValueError as error:
            raise ValueError(f"case {name!r}: {error}") from None
    if not found:
        raise ValueError(f"{text!r} has no case, which is a name, a colon and a condition")
    return found


def _parts(text: str) -> list[str]:
    """What semicolons separate, but for those in strings."""
    parts = [""]
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            parts.append("")
        else:
            parts[-1] += token[0]
    return [part for part in parts if part.strip()]
