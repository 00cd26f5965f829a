"""Conversion of items for programs and services outside Python."""

from hashlib import blake2b
from pathlib import PurePath
from typing import Any

import orjson

from ..base.message import MESSAGE_ID, Message

__all__ = ["as_json", "as_text", "identity"]


def as_json(item: Any) -> bytes:
    """The item as JSON. A message's payload that is not JSON becomes a string.

    >>> as_json(Message(b'{"n": 1}')), as_json(Message(b"plain")), as_json("a.mp4")
    (b'{"n": 1}', b'"plain"', b'"a.mp4"')
    """
    if isinstance(item, Message):
        item = item.value
    if isinstance(item, bytes):
        try:
            orjson.loads(item)
        except ValueError:
            return orjson.dumps(item.decode("utf-8", "replace"))
        return item
    if isinstance(item, PurePath):
        return orjson.dumps(str(item))
    return orjson.dumps(item._asdict() if hasattr(item, "_asdict") else item)


def as_text(value: Any) -> str:
    """A value as one argument of a program: text unchanged, anything else as JSON."""
    if isinstance(value, Message):
        value = value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value) if isinstance(value, str | PurePath) else as_json(value).decode()


def identity(item: Any) -> str:
    """An id that is the same for the same item in every run: a message's id, otherwise a hash of the item's JSON."""
    if isinstance(item, Message):
        return (item.with_id().attribute(MESSAGE_ID) or b"").decode("utf-8", "replace")
    return blake2b(as_json(item), digest_size=16).hexdigest()
