"""Sign-ups and confirmations as they come in, and what must be true of them.

A sign-up:      {"user_id": "u1", "email": "ann@example.com", "name": "Ann", "phone": "+49301234567",
                 "email_opt_in": true, "sms_opt_in": false, "signed_up_at": "2026-03-01T09:30:00Z"}; without phone too.
A confirmation: {"user_id": "u1", "confirmed_at": "2026-03-01T09:41:12Z"}

The messages travel through the flow as they came, byte for byte, so that a dead letter and a pending record hold the
original. Everything here raises a ValueError whose text is the reason in the dead letter.
"""

import re
import time
from datetime import datetime
from typing import Any, NamedTuple

from beam_patterns.transforms.extend import RecordCoder
from beam_patterns.transforms.queues import Message

__all__ = ["Checked", "Event", "email_address", "fields_of", "phone_number", "waiting"]

KIND, FIRST_SEEN = "signup.kind", "signup.first_seen"
SIGNUP, CONFIRMATION = "sign-up", "confirmation"
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PHONE = re.compile(r"\+?[0-9]{6,15}")


@RecordCoder.register
class Event(NamedTuple):
    """A checked sign-up or confirmation, as the match sees it."""

    kind: str
    user_id: str
    first_seen: float
    """When a run met it first; seconds since the epoch."""
    known: bool
    """It waited in the pending queue, so an earlier run has met it."""
    message: Message

    def to_wait(self) -> Message:
        """For the pending queue: the original message, marked."""
        marks = {KIND: self.kind.encode(), FIRST_SEEN: repr(self.first_seen).encode()}
        return self.message.with_attributes(**marks)


class Checked:
    """The event in a message. Raises ValueError for a message that is not a record of this kind, with the reason.

    Args:
        kind: SIGNUP or CONFIRMATION.
        now: when the run met it; None for the message's own time.
    """

    def __init__(self, kind: str, now: float | None = None) -> None:
        self._check, self._kind, self._now = _CHECKS[kind], kind, now

    def __call__(self, message: Message) -> Event:
        data = fields_of(message)
        self._check(data)
        return Event(self._kind, user_id(data), self._seen(message), False, message)

    def _seen(self, message: Message) -> float:
        if self._now is not None:
            return self._now
        return time.time() if message.timestamp is None else message.timestamp


def waiting(message: Message) -> Event:
    """The event that an earlier run wrote into the pending queue. Raises ValueError for anything else."""
    kind, first_seen = _marks(message)
    data = fields_of(message)
    _CHECKS[kind](data)
    own = tuple(pair for pair in message.attributes if pair[0] not in (KIND, FIRST_SEEN))
    return Event(kind, user_id(data), first_seen, True, message._replace(attributes=own))


def _check_signup(data: dict[str, Any]) -> None:
    user_id(data)
    email_address(data)
    _line(data, "name")
    _moment(data, "signed_up_at")
    texts = [_flag(data, "email_opt_in"), _flag(data, "sms_opt_in")][1]
    if texts and data.get("phone") is None:
        raise ValueError("'sms_opt_in' is true, but there is no 'phone' to send text messages to")
    if data.get("phone") is not None:
        phone_number(data)


def _check_confirmation(data: dict[str, Any]) -> None:
    user_id(data)
    _moment(data, "confirmed_at")


_CHECKS = {SIGNUP: _check_signup, CONFIRMATION: _check_confirmation}


def fields_of(message: Message) -> dict[str, Any]:
    """The JSON object a message holds."""
    try:
        data = message.json()
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"not a JSON object but {type(data).__name__}")
    return data


def user_id(data: dict[str, Any]) -> str:
    """The user's id; a number is taken as text."""
    value = _required(data, "user_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _line(data, "user_id")


def email_address(data: dict[str, Any]) -> str:
    """The address, its domain in the form the DNS knows."""
    text = _line(data, "email").strip()
    local, at, domain = text.rpartition("@")
    try:
        domain = domain.lower() if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    possible = (
        at
        and len(local) <= 64
        and len(local) + len(domain) < 254
        and _LOCAL_PART.fullmatch(local)
        and len(labels) >= 2
        and all(_DOMAIN_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )
    if not possible:
        raise ValueError(f"'email' is {text[:100]!r}, which can't be an address")
    return f"{local}@{domain}"


def phone_number(data: dict[str, Any]) -> str:
    """The number without the marks people put between its digits."""
    text = _line(data, "phone")
    number = re.sub(r"[ ()./-]", "", text)
    if not _PHONE.fullmatch(number):
        raise ValueError(f"'phone' is {text[:100]!r}, which can't be a telephone number")
    return number


def _marks(message: Message) -> tuple[str, float]:
    kind, seen = message.attribute(KIND), message.attribute(FIRST_SEEN)
    if kind is None or seen is None or kind.decode() not in (SIGNUP, CONFIRMATION):
        raise ValueError(f"not a pending record: the attributes {KIND} and {FIRST_SEEN} are missing")
    return kind.decode(), float(seen)


def _required(data: dict[str, Any], name: str) -> Any:
    if data.get(name) is None:
        raise ValueError(f"the field {name!r} is missing")
    return data[name]


def _line(data: dict[str, Any], name: str) -> str:
    text = _required(data, name)
    if not isinstance(text, str) or not text.strip() or len(text) > 300 or not text.isprintable():
        raise ValueError(f"{name!r} is {str(text)[:100]!r}, not a line of text")
    return text


def _flag(data: dict[str, Any], name: str) -> bool:
    value = _required(data, name)
    if not isinstance(value, bool):
        raise ValueError(f"{name!r} is {value!r}, neither true nor false")
    return value


def _moment(data: dict[str, Any], name: str) -> datetime:
    text = _line(data, name)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name!r} is {text[:100]!r}, not a time such as 2026-03-01T09:30:00Z") from None
