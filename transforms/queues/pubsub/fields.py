"""Converts messages to Pub/Sub's, whose attributes and ordering key are text instead of bytes."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.message import Message

__all__ = ["BASE64", "TOMBSTONE", "Fields", "fields_of", "message_of"]

#: Prefix of the base64 of bytes that are not UTF-8, and of text that itself begins with the prefix.
BASE64 = "base64:"
#: The attribute of a message without payload, a Kafka tombstone, as opposed to an empty payload.
TOMBSTONE = "beam_patterns.tombstone"
#: Pub/Sub's own limits: https://cloud.google.com/pubsub/quotas#resource_limits
_SIZE, _NAME, _TEXT, _COUNT = 10_000_000, 256, 1024, 100
#: Text for people may be cut: to the start of an error message, and to the end of a stack, where the failure is.
_CUT = {
    "__connect.errors.exception.message": slice(None, _TEXT),
    "__connect.errors.exception.stacktrace": slice(-_TEXT, None),
    "readable": slice(None, _TEXT),
}


class Fields(NamedTuple):
    """The fields of a PubsubMessage."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str

    @property
    def size(self) -> int:
        """Size in a request, in bytes, rounded up by a few."""
        texts = sum(len(name.encode()) + len(text.encode()) + 12 for name, text in self.attributes.items())
        return len(self.data) + len(self.ordering_key.encode()) + texts + 32


def message_of(received: Any, source: str) -> Message:
    """The message in a PubsubMessage, with attributes sorted by name because Pub/Sub does not keep their order."""
    published, attributes = received.publish_time, dict(received.attributes)
    return Message(
        None if attributes.pop(TOMBSTONE, "") else received.data,
        _bytes(received.ordering_key) or None,
        tuple(sorted((name, _bytes(text)) for name, text in attributes.items())),
        published.seconds + published.nanos / 1e9,
        (source, received.message_id),
    )


def fields_of(message: Message) -> Fields:
    """The fields that hold a message. Raises ValueError, with the limit, if Pub/Sub can't hold it.

    >>> fields_of(Message(b"x", key=b"ann", attributes=(("lang", b"en"), ("trace", b"\\xff"))))
    Fields(data=b'x', attributes={'lang': 'en', 'trace': 'base64:/w=='}, ordering_key='ann')
    """
    attributes = {TOMBSTONE: "1"} if message.value is None else {}
    for name, value in message.attributes:
        if name in attributes:
            raise ValueError(f"it has the attribute {name!r} twice, and Pub/Sub allows one value per name")
        if not name or len(name.encode()) > _NAME or name.startswith("goog"):
            raise ValueError(
                f"Pub/Sub does not allow the attribute name {name[:50]!r}: it needs 1 to {_NAME} bytes and must not "
                "begin with goog"
            )
        text = value[_CUT[name]].decode(errors="ignore") if name in _CUT else _text(value)
        attributes[name] = _short(f"the attribute {name!r}", text)
    if len(attributes) > _COUNT:
        raise ValueError(f"it has {len(attributes)} attributes, and Pub/Sub allows {_COUNT}")
    fields = Fields(message.value or b"", attributes, _short("the key", _text(message.key or b"")))
    if fields.size > _SIZE:
        raise ValueError(f"it has {fields.size:,} bytes with its attributes, and Pub/Sub allows {_SIZE:,}")
    return fields


def _short(what: str, text: str) -> str:
    size = len(text.encode())
    if size > _TEXT:
        raise ValueError(f"{what} has {size:,} bytes as text, and Pub/Sub allows {_TEXT:,}")
    return text


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = BASE64
    return BASE64 + base64.b64encode(value).decode() if text.startswith(BASE64) else text


def _bytes(text: str) -> bytes:
    if text.startswith(BASE64):
        try:
            return base64.b64decode(text.removeprefix(BASE64), validate=True)
        except binascii.Error:  # Text of another program.
            pass
    return text.encode()
