"""Fields of JSON messages, checked. The text of a ValueError is the reason in the message's dead letter."""

import re
from datetime import datetime
from typing import Any

from beam_patterns.transforms.queues import Message

__all__ = ["email_address", "fields_of", "flag", "identifier", "line", "moment", "phone_number", "required"]

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PHONE = re.compile(r"\+?[0-9]{6,15}")
_LONGEST = 300


def fields_of(message: Message) -> dict[str, Any]:
    """The JSON object in a message."""
    try:
        data = message.json()
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"not a JSON object but {type(data).__name__}")
    return data


def required(data: dict[str, Any], name: str) -> Any:
    """A field that is there and not null."""
    if data.get(name) is None:
        raise ValueError(f"the field {name!r} is missing")
    return data[name]


def line(data: dict[str, Any], name: str) -> str:
    """A line of text."""
    text = required(data, name)
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise ValueError(f"{name!r} is {str(text)[:100]!r}, not a line of text")
    return text


def identifier(data: dict[str, Any], name: str) -> str:
    """An id as text; it may be a whole number in the JSON."""
    value = required(data, name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else line(data, name)


def flag(data: dict[str, Any], name: str) -> bool:
    """True or false."""
    value = required(data, name)
    if not isinstance(value, bool):
        raise ValueError(f"{name!r} is {value!r}, neither true nor false")
    return value


def moment(data: dict[str, Any], name: str) -> datetime:
    """A time."""
    text = line(data, name)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name!r} is {text[:100]!r}, not a time such as 2026-03-01T09:30:00Z") from None


def email_address(data: dict[str, Any]) -> str:
    """The address in the field `email`, its domain in the DNS's form."""
    text = line(data, "email").strip()
    local, at, domain = text.rpartition("@")
    try:
        domain = domain.lower() if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    is_valid = (
        at
        and len(local) <= 64
        and len(local) + len(domain) < 254
        and _LOCAL_PART.fullmatch(local)
        and len(labels) >= 2
        and all(_DOMAIN_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )
    if not is_valid:
        raise ValueError(f"'email' is {text[:100]!r}, which can't be an address")
    return f"{local}@{domain}"


def phone_number(data: dict[str, Any]) -> str:
    """The telephone number in the field `phone`, without the separators between its digits."""
    text = line(data, "phone")
    number = re.sub(r"[ ()./-]", "", text)
    if not _PHONE.fullmatch(number):
        raise ValueError(f"'phone' is {text[:100]!r}, which can't be a telephone number")
    return number
