"""Sign-ups and confirmations as they come in, and their checks.

A sign-up:      {"user_id": "u1", "email": "ann@example.com", "name": "Ann", "phone": "+49301234567",
                 "email_opt_in": true, "sms_opt_in": false, "signed_up_at": "2026-03-01T09:30:00Z"}; phone is optional.
A confirmation: {"user_id": "u1", "confirmed_at": "2026-03-01T09:41:12Z"}

The messages pass through the flow byte for byte, so that dead letters and pending records hold the original.
"""

import time
from typing import Any, NamedTuple

from beam_patterns.pipelines.parts.fields import email_address, fields_of, flag, identifier, line, moment, phone_number
from beam_patterns.transforms.extend import RecordCoder
from beam_patterns.transforms.queues import Message

__all__ = ["CONFIRMATION", "SIGNUP", "Event", "ToEvent", "pending_event"]

KIND, FIRST_SEEN = "signup.kind", "signup.first_seen"
SIGNUP, CONFIRMATION = "sign-up", "confirmation"


@RecordCoder.register
class Event(NamedTuple):
    """A checked sign-up or confirmation."""

    kind: str
    user_id: str
    first_seen: float
    """When a run read it first; seconds since the epoch."""
    was_pending: bool
    """Whether an earlier run has read it and put it into the pending queue."""
    message: Message

    def pending_message(self) -> Message:
        """The original message with the attributes of the pending queue."""
        attributes = {KIND: self.kind.encode(), FIRST_SEEN: repr(self.first_seen).encode()}
        return self.message.with_attributes(**attributes)


class ToEvent:
    """The event in a message. Raises ValueError, with the reason, for a message that is not a record of this kind.

    Args:
        kind: SIGNUP or CONFIRMATION.
        now: when the run reads it; None for the message's own time.
    """

    def __init__(self, kind: str, now: float | None = None) -> None:
        self._kind, self._now = kind, now

    def __call__(self, message: Message) -> Event:
        data = fields_of(message)
        _CHECKS[self._kind](data)
        seen = message.timestamp if self._now is None else self._now
        return Event(self._kind, identifier(data, "user_id"), time.time() if seen is None else seen, False, message)


def pending_event(message: Message) -> Event:
    """The event that an earlier run wrote into the pending queue. Raises ValueError for anything else."""
    kind, seen = ((message.attribute(name) or b"").decode() for name in (KIND, FIRST_SEEN))
    if kind not in _CHECKS or not seen:
        raise ValueError(f"not a pending record: the attributes {KIND} and {FIRST_SEEN} are missing")
    data = fields_of(message)
    _CHECKS[kind](data)
    attributes = tuple(pair for pair in message.attributes if pair[0] not in (KIND, FIRST_SEEN))
    original = message._replace(attributes=attributes)
    return Event(kind, identifier(data, "user_id"), float(seen), True, original)


def _check_signup(data: dict[str, Any]) -> None:
    identifier(data, "user_id")
    email_address(data)
    line(data, "name")
    moment(data, "signed_up_at")
    flag(data, "email_opt_in")
    if flag(data, "sms_opt_in") and data.get("phone") is None:
        raise ValueError("'sms_opt_in' is true, but 'phone' is missing, which text messages need")
    if data.get("phone") is not None:
        phone_number(data)


def _check_confirmation(data: dict[str, Any]) -> None:
    identifier(data, "user_id")
    moment(data, "confirmed_at")


_CHECKS = {SIGNUP: _check_signup, CONFIRMATION: _check_confirmation}
