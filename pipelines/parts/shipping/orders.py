"""Orders as they come in, and what must be true of them.

{"order_id": "A-1001", "status": "shipped", "name": "Ann", "notify": ["email", "sms"], "email": "ann@example.com",
 "phone": "+49301234567", "carrier": "DHL", "tracking": "JD0146000"}

`notify` is the customer's choice: either, both, or nothing. Only what is needed for it must be there. Everything here
raises a ValueError whose text is the reason in the dead letter.
"""

from hashlib import blake2b
from typing import Any

from beam_patterns.pipelines.parts.signup.records import fields_of
from beam_patterns.transforms.queues import Message

__all__ = ["EMAIL", "TEXT", "is_shipped", "line", "notice_id", "order_id", "wants_email", "wants_text"]

EMAIL, TEXT = "email", "sms"
_LONGEST = 300


def is_shipped(order: Message) -> bool:
    """Whether an order has left the house; of one that has, its number and its customer's choice are checked."""
    data = fields_of(order)
    if line(data, "status") != "shipped":
        return False
    number(data)
    choices(data)
    return True


def wants_email(data: dict[str, Any]) -> bool:
    """Whether the customer chose mails."""
    return EMAIL in choices(data)


def wants_text(data: dict[str, Any]) -> bool:
    """Whether the customer chose text messages."""
    return TEXT in choices(data)


def order_id(order: Message) -> str:
    """What makes two messages the same order."""
    return number(fields_of(order))


def notice_id(channel: str, order: Message) -> str:
    """The same for the same order on the same channel, whenever and however often it is told."""
    return f"shipped.{channel}.{blake2b(order_id(order).encode(), digest_size=16).hexdigest()}"


def choices(data: dict[str, Any]) -> list[str]:
    """The channels that the customer chose."""
    chosen = data.get("notify")
    if chosen is None:
        return []
    if not isinstance(chosen, list) or not all(isinstance(channel, str) for channel in chosen):
        raise ValueError(f'\'notify\' is {str(chosen)[:100]!r}, not a list of channels such as ["email", "sms"]')
    return chosen


def number(data: dict[str, Any]) -> str:
    """The order's number as text."""
    value = data.get("order_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return line(data, "order_id")


def line(data: dict[str, Any], name: str) -> str:
    """A field that is a line of text."""
    text = data.get(name)
    if text is None:
        raise ValueError(f"the field {name!r} is missing")
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise ValueError(f"{name!r} is {str(text)[:100]!r}, not a line of text")
    return text
