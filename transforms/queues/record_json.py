"""Messages' attributes and dead letters as JSON: readable text where bytes are text, base64 where they are not."""

from base64 import b64decode, b64encode
from typing import Any

import orjson

from ..base.dead_letter import DeadLetter

__all__ = ["attributes_from_json", "attributes_to_json", "letter_from_json", "letter_to_json"]

Attributes = tuple[tuple[str, bytes], ...]
#: Fields of a DeadLetter that are bytes.
_BYTES = ("payload", "key")


def attributes_to_json(attributes: Attributes) -> bytes:
    """Pairs, since names may repeat.

    >>> attributes_to_json((("lang", b"en"), ("raw", bytes([255]))))
    b'[["lang","en"],["raw",{"base64":"/w=="}]]'
    """
    return orjson.dumps(_plain(attributes))


def attributes_from_json(text: bytes) -> Attributes:
    """The attributes, as they were.

    >>> attributes_from_json(b'[["lang","en"],["raw",{"base64":"/w=="}]]')
    (('lang', b'en'), ('raw', b'\\xff'))
    """
    return _bytes_of(orjson.loads(text))


def letter_to_json(letter: DeadLetter) -> bytes:
    """One line with a field for each of the record's; `payload_base64` and `key_base64` stand for what is no text."""
    fields: dict[str, Any] = {}
    for name, value in letter._asdict().items():
        if name in _BYTES and value is not None:
            name, value = _named_text(name, value)
        fields[name] = _plain(value) if name == "attributes" else value
    return orjson.dumps(fields)


def letter_from_json(line: bytes) -> DeadLetter | None:
    """The dead letter in a line, or None for any other line, which may well be JSON too."""
    if not line.startswith((b'{"payload":', b'{"payload_base64":')):
        return None
    try:
        fields = orjson.loads(line)
        for name in _BYTES:
            if f"{name}_base64" in fields:
                fields[name] = b64decode(fields.pop(f"{name}_base64"))
            elif fields[name] is not None:
                fields[name] = fields[name].encode()
        return DeadLetter(**{**fields, "attributes": _bytes_of(fields["attributes"])})
    except (ValueError, TypeError, KeyError, AttributeError):  # Somebody's own record that looks a little like ours.
        return None


def _named_text(name: str, value: bytes) -> tuple[str, str]:
    try:
        return name, value.decode()
    except UnicodeDecodeError:
        return f"{name}_base64", b64encode(value).decode()


def _plain(attributes: Attributes) -> list[tuple[str, Any]]:
    plain: list[tuple[str, Any]] = []
    for name, value in attributes:
        try:
            plain.append((name, value.decode()))
        except UnicodeDecodeError:
            plain.append((name, {"base64": b64encode(value).decode()}))
    return plain


def _bytes_of(plain: list[Any]) -> Attributes:
    return tuple([(name, v.encode() if type(v) is str else b64decode(v["base64"])) for name, v in plain])
