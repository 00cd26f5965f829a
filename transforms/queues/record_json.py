"""Messages, attributes and dead letters as JSON: bytes that are UTF-8 as text, other bytes as base64."""

from base64 import b64decode, b64encode
from typing import Any

import orjson

from ..base.dead_letter import DeadLetter
from ..base.message import Message

__all__ = [
    "attributes_from_json",
    "attributes_to_json",
    "letter_from_json",
    "letter_to_json",
    "message_from_json",
    "message_to_json",
    "text_or_base64",
]

Attributes = tuple[tuple[str, bytes], ...]
#: Fields of a DeadLetter whose type is bytes.
_BYTES = ("payload", "key")


def text_or_base64(value: bytes) -> str | dict[str, str]:
    """Bytes as text if they are UTF-8, otherwise as {"base64": ...}."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def attributes_to_json(attributes: Attributes) -> bytes:
    """Attributes as a list of pairs, since names may repeat.

    >>> attributes_to_json((("lang", b"en"), ("raw", bytes([255]))))
    b'[["lang","en"],["raw",{"base64":"/w=="}]]'
    """
    return orjson.dumps(_as_pairs(attributes))


def attributes_from_json(text: bytes) -> Attributes:
    """The inverse of `attributes_to_json`.

    >>> attributes_from_json(b'[["lang","en"],["raw",{"base64":"/w=="}]]')
    (('lang', b'en'), ('raw', b'\\xff'))
    """
    return _from_pairs(orjson.loads(text))


def message_to_json(message: Message) -> bytes:
    """One line with the fields of a message that are not empty.

    >>> from beam_patterns.transforms.queues import Message, message_to_json
    >>> message_to_json(Message(b"a", bytes([255]), timestamp=2.0))
    b'{"value":"a","key":{"base64":"/w=="},"timestamp":2.0}'
    """
    fields: dict[str, Any] = message._asdict()
    for name in ("value", "key"):
        if fields[name] is not None:
            fields[name] = text_or_base64(fields[name])
    fields["attributes"] = _as_pairs(message.attributes)
    return orjson.dumps({name: value for name, value in fields.items() if value not in (None, [])})


def message_from_json(line: bytes) -> Message:
    """The inverse of `message_to_json`. Raises ValueError for any other text.

    >>> from beam_patterns.transforms.queues import message_from_json
    >>> message_from_json(b'{"value":"a","key":{"base64":"/w=="},"timestamp":2.0}').key
    b'\\xff'
    """
    try:
        fields = orjson.loads(line)
        for name in ("value", "key"):
            if name in fields:
                fields[name] = _as_bytes(fields[name])
        if "source" in fields:
            fields["source"] = tuple(fields["source"])
        attributes = _from_pairs(fields.pop("attributes", []))
        message = Message(**{"value": None, **fields, "attributes": attributes})
        return message if message.timestamp is None else message._replace(timestamp=float(message.timestamp))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a message: {error}") from None


def letter_to_json(letter: DeadLetter) -> bytes:
    """One line with each field of the record; `payload_base64` and `key_base64` replace bytes that are not UTF-8."""
    fields: dict[str, Any] = {}
    for name, value in letter._asdict().items():
        if isinstance(value, bytes):
            value = text_or_base64(value)
            if isinstance(value, dict):
                name, value = f"{name}_base64", value["base64"]
        fields[name] = _as_pairs(value) if name == "attributes" else value
    return orjson.dumps(fields)


def letter_from_json(line: bytes) -> DeadLetter | None:
    """The dead letter in a line; None for any other line, even if it is JSON."""
    if not line.startswith((b'{"payload":', b'{"payload_base64":')):
        return None
    try:
        fields = orjson.loads(line)
        for name in _BYTES:
            if f"{name}_base64" in fields:
                fields[name] = b64decode(fields.pop(f"{name}_base64"))
            elif fields[name] is not None:
                fields[name] = fields[name].encode()
        return DeadLetter(**{**fields, "attributes": _from_pairs(fields["attributes"])})
    except (ValueError, TypeError, KeyError, AttributeError):  # A user's record with similar fields.
        return None


def _as_pairs(attributes: Attributes) -> list[tuple[str, Any]]:
    return [(name, text_or_base64(value)) for name, value in attributes]


def _from_pairs(pairs: list[Any]) -> Attributes:
    return tuple([(name, v.encode() if type(v) is str else _as_bytes(v)) for name, v in pairs])


def _as_bytes(text: Any) -> bytes:
    return text.encode() if type(text) is str else b64decode(text["base64"])
