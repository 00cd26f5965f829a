"""Orders as they come in, and their checks.

{"order_id": "A-1001", "status": "shipped", "name": "Ann", "notify": ["email", "sms"], "email": "ann@example.com",
 "phone": "+49301234567", "carrier": "DHL", "tracking": "JD0146000"}

`notify` is the customer's choice: either, both, or nothing. Only the fields that this choice needs are required.
"""

from hashlib import blake2b
from typing import Any

from beam_patterns.pipelines.parts.fields import fields_of, identifier, line
from beam_patterns.transforms.queues import Message

__all__ = ["EMAIL", "SMS", "is_shipped", "notice_id", "order_id", "wants_email", "wants_sms"]

EMAIL, SMS = "email", "sms"


def is_shipped(order: Message) -> bool:
    """Whether an order was shipped. Of a shipped order the number and the customer's choice are checked."""
    data = fields_of(order)
    if line(data, "status") != "shipped":
        return False
    identifier(data, "order_id")
    _channels(data)
    return True


def wants_email(data: dict[str, Any]) -> bool:
    """Whether the customer chose mails."""
    return EMAIL in _channels(data)


def wants_sms(data: dict[str, Any]) -> bool:
    """Whether the customer chose text messages."""
    return SMS in _channels(data)


def order_id(order: Message) -> str:
    """The order's number as text; messages with the same number are the same order."""
    return identifier(fields_of(order), "order_id")


def notice_id(channel: str, order: Message) -> str:
    """The id of a notice: the same for an order and a channel, in whatever run."""
    return f"shipped.{channel}.{blake2b(order_id(order).encode(), digest_size=16).hexdigest()}"


def _channels(data: dict[str, Any]) -> list[str]:
    """The channels that the customer chose."""
    chosen = data.get("notify")
    if chosen is None:
        return []
    if not isinstance(chosen, list) or not all(isinstance(channel, str) for channel in chosen):
        raise ValueError(f'\'notify\' is {str(chosen)[:100]!r}, not a list of channels such as ["email", "sms"]')
    return chosen
