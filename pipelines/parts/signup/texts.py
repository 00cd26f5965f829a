"""What new users read: mails and text messages."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import quote

from beam_patterns.transforms.queues import Message

from .records import email_address, fields_of, phone_number, user_id

__all__ = ["Texts", "sender_address"]

_VERIFICATION = """\
Hello {name},

somebody, probably you, signed up with this address. Please confirm it:

    {site}/confirm/{user}

If it was not you, there is nothing to do: without a confirmation the sign-up expires.
"""

_WELCOME = """\
Hello {name},

your address is confirmed. Welcome!

    {site}
"""

_NEWS = """
You chose to get our news by mail. To end that: {unsubscribe}
"""


class Texts(NamedTuple):
    """All texts, with what is the same in each of them."""

    sender: str
    """Who writes, such as: Example Shop <hello@shop.example>."""
    site: str
    """Where links lead, such as: https://shop.example."""

    def verification(self, message: Message) -> EmailMessage:
        """Asks a new user for a confirmation."""
        mail, places = self._mail(message, "verification", "Please confirm your address")
        mail.set_content(_VERIFICATION.format(**places), cte="quoted-printable")
        return mail

    def welcome(self, message: Message) -> EmailMessage:
        """Greets a confirmed user; who opted in to mails learns how to opt out (RFC 2369, RFC 8058)."""
        mail, places = self._mail(message, "welcome", "Welcome")
        text = _WELCOME
        if fields_of(message)["email_opt_in"]:
            text += _NEWS
            mail["List-Unsubscribe"] = f"<{places['unsubscribe']}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(text.format(**places), cte="quoted-printable")
        return mail

    def text_message(self, message: Message) -> Message:
        """Tells a user who opted in to text messages."""
        data = fields_of(message)
        text = f"Welcome, {data['name']}! You will get our news by text message. Reply STOP to end that."
        return _result(message, {"user_id": user_id(data), "to": phone_number(data), "text": text})

    def _mail(self, message: Message, kind: str, subject: str) -> tuple[EmailMessage, dict[str, str]]:
        data = fields_of(message)
        user, address = user_id(data), email_address(data)
        mail = EmailMessage()
        # EmailMessage encodes what is not ASCII and refuses line breaks; but a name that is an encoded word is decoded,
        # with the line breaks in it (Python 3.11.7): without those, nobody's name can add a header.
        mail["From"] = self.sender
        mail["To"] = Address("" if "=?" in data["name"] else data["name"], addr_spec=address)
        mail["Subject"] = subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = _message_id(kind, user, address, sender_address(self.sender))
        mail["Auto-Submitted"] = "auto-generated"
        places = {"name": data["name"], "site": self.site, "user": quote(user, safe="")}
        return mail, {**places, "unsubscribe": f"{self.site}/unsubscribe/{places['user']}"}


def by_mail(message: Message) -> Message:
    """A subscription to news by mail."""
    data = fields_of(message)
    return _result(message, {"user_id": user_id(data), "channel": "email", "address": email_address(data)})


def by_text_message(message: Message) -> Message:
    """A subscription to news by text message."""
    data = fields_of(message)
    return _result(message, {"user_id": user_id(data), "channel": "sms", "address": phone_number(data)})


def sender_address(sender: str) -> str:
    """The address in a From line; a ValueError for anything that is none."""
    _, address = parseaddr(sender)
    try:
        return email_address({"email": address})
    except ValueError:
        raise ValueError(f"--sender: {sender!r} is no name and address, such as Shop <hello@shop.example>") from None


def _result(message: Message, data: dict[str, Any]) -> Message:
    """What was made of a sign-up: keyed by the user, its id derived from the sign-up's."""
    return Message.of(data, key=data["user_id"].encode(), source=message.source, attributes=message.attributes)


def _message_id(kind: str, user: str, address: str, sender: str) -> str:
    """The same for the same mail to the same person, whoever makes it and whenever."""
    digest = blake2b("\n".join((kind, user, address)).encode(), digest_size=16).hexdigest()
    return f"<{kind}.{digest}@{sender.rpartition('@')[2]}>"
