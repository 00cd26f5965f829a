"""A message as Pub/Sub holds it: attributes and ordering key are text there, bytes here."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.message import Message

__all__ = ["BASE64", "TOMBSTONE", "Fields", "fields_of", "message_of"]

#: Bytes that are no UTF-8 are written as this and base64; so is text that begins with it, to come back the same.
BASE64 = "base64:"
#: The attribute that tells a message without payload, a Kafka tombstone, from an empty one.
TOMBSTONE = "beam_patterns.tombstone"
#: Pub/Sub's own limits: https://cloud.google.com/pubsub/quotas#resource_limits
_SIZE, _NAME, _TEXT, _COUNT = 10_000_000, 256, 1024, 100
#: What only helps people may be cut: the beginning of the message, the end of the stack, where the failure is.
_CUT = {
    "__connect.errors.exception.message": slice(None, _TEXT),
    "__connect.errors.exception.stacktrace": slice(-_TEXT, None),
    "readable": slice(None, _TEXT),
}


class Fields(NamedTuple):
    """What goes into a PubsubMessage."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str

    @property
    def size(self) -> int:
        """Bytes in a request, or a few more."""
        texts = sum(len(name.encode()) + len(text.encode()) + 12 for name, text in self.attributes.items())
        return len(self.data) + len(self.ordering_key.encode()) + texts + 32


def message_of(received: Any, source: str) -> Message:
    """The message that a PubsubMessage carries; attributes in the order of their names, as Pub/Sub keeps none."""
    stamp, attributes = received.publish_time, dict(received.attributes)
    return Message(
        None if attributes.pop(TOMBSTONE, "") else received.data,
        _bytes(received.ordering_key) or None,
        tuple(sorted((name, _bytes(text)) for name, text in attributes.items())),
        stamp.seconds + stamp.nanos / 1e9,
        (source, received.message_id),
    )


def fields_of(message: Message) -> Fields:
    """The message as Pub/Sub can hold it. Raises ValueError, with the limit, if it can't.

    >>> fields_of(Message(b"x", key=b"ann", attributes=(("lang", b"en"), ("trace", b"\\xff"))))
    Fields(data=b'x', attributes={'lang': 'en', 'trace': 'base64:/w=='}, ordering_key='ann')
    """
    attributes = {TOMBSTONE: "1"} if message.value is None else {}
    for name, value in message.attributes:
        if name in attributes:
            raise ValueError(f"its attribute {name!r} is there twice, and Pub/Sub holds one value per name")
        if not name or len(name.encode()) > _NAME or name.startswith("goog"):
            raise ValueError(
                f"Pub/Sub takes no attribute called {name[:50]!r}: 1 to {_NAME} bytes, not beginning with goog"
            )
        cut = _CUT.get(name)
        attributes[name] = _short(f"the attribute {name!r}", _cut(value, cut) if cut else _text(value))
    if len(attributes) > _COUNT:
        raise ValueError(f"it has {len(attributes)} attributes, and Pub/Sub takes {_COUNT}")
    fields = Fields(message.value or b"", attributes, _short("the key", _text(message.key or b"")))
    if fields.size > _SIZE:
        raise ValueError(f"it has {fields.size:,} bytes with its attributes, and Pub/Sub takes {_SIZE:,}")
    return fields


def _short(what: str, text: str) -> str:
    size = len(text.encode())
    if size > _TEXT:
        raise ValueError(f"{what} has {size:,} bytes as text, and Pub/Sub takes {_TEXT:,}")
    return text


def _cut(value: bytes, part: slice) -> str:
    return value[part].decode(errors="ignore")


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
        except binascii.Error:  # Somebody else's text.
            pass
    return text.encode()
