"""What new users receive: mails, subscriptions and text messages."""

from email.message import EmailMessage
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import quote

from beam_patterns.pipelines.parts.fields import email_address, fields_of, identifier, phone_number
from beam_patterns.pipelines.parts.mail.compose import new_mail
from beam_patterns.transforms.queues import Message

__all__ = ["Texts", "by_mail", "by_text_message"]

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
    """All texts, with what they have in common."""

    sender: str
    """The sender, such as: Example Shop <hello@shop.example>."""
    site: str
    """The site that links lead to, such as: https://shop.example."""

    def verification(self, message: Message) -> EmailMessage:
        """The mail that asks a new user to confirm the address."""
        return self._mail(message, "verification", "Please confirm your address", _VERIFICATION)

    def welcome(self, message: Message) -> EmailMessage:
        """The mail that welcomes a confirmed user; users of news by mail learn how to opt out (RFC 2369, RFC 8058)."""
        data = fields_of(message)
        if not data["email_opt_in"]:
            return self._mail(message, "welcome", "Welcome", _WELCOME)
        mail = self._mail(message, "welcome", "Welcome", _WELCOME + _NEWS)
        mail["List-Unsubscribe"] = f"<{self._unsubscribe(_user_id(data))}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return mail

    def text_message(self, message: Message) -> Message:
        """The text message that welcomes a user of news by text message."""
        data = fields_of(message)
        text = f"Welcome, {data['name']}! You will get our news by text message. Reply STOP to end that."
        return _result(message, {"user_id": _user_id(data), "to": phone_number(data), "text": text})

    def _mail(self, message: Message, kind: str, subject: str, text: str) -> EmailMessage:
        data = fields_of(message)
        user, name, address = _user_id(data), data["name"], email_address(data)
        digest = blake2b("\n".join((kind, user, address)).encode(), digest_size=16).hexdigest()
        text = text.format(name=name, site=self.site, user=quote(user, safe=""), unsubscribe=self._unsubscribe(user))
        return new_mail(self.sender, name, address, subject, f"{kind}.{digest}", text)

    def _unsubscribe(self, user: str) -> str:
        return f"{self.site}/unsubscribe/{quote(user, safe='')}"


def by_mail(message: Message) -> Message:
    """A subscription to news by mail."""
    data = fields_of(message)
    return _result(message, {"user_id": _user_id(data), "channel": "email", "address": email_address(data)})


def by_text_message(message: Message) -> Message:
    """A subscription to news by text message."""
    data = fields_of(message)
    return _result(message, {"user_id": _user_id(data), "channel": "sms", "address": phone_number(data)})


def _user_id(data: dict[str, Any]) -> str:
    return identifier(data, "user_id")


def _result(message: Message, data: dict[str, Any]) -> Message:
    """A message made of a sign-up: its key is the user, its id is derived from the sign-up's."""
    return Message.of(data, key=data["user_id"].encode(), source=message.source, attributes=message.attributes)
