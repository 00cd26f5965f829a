"""What customers read when their order is on its way."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from beam_patterns.pipelines.parts.signup.records import email_address, fields_of, phone_number
from beam_patterns.pipelines.parts.signup.texts import sender_address
from beam_patterns.transforms.queues import MESSAGE_ID, Message

from .orders import EMAIL, TEXT, line, notice_id, order_id

__all__ = ["Notices"]

_MAIL = """\
Hello {name},

your order {order} is on its way with {carrier}.

    {link}
"""


class Notices(NamedTuple):
    """All texts, with what is the same in each of them."""

    sender: str
    """Who writes, such as: Example Shop <hello@shop.example>."""
    site: str
    """Where links lead, such as: https://shop.example."""

    def mail(self, order: Message) -> EmailMessage:
        """For a customer who chose mails."""
        data = fields_of(order)
        to, words = email_address(data), self._words(order, data)
        mail = EmailMessage()
        mail["From"] = self.sender
        # A name that is an encoded word would be decoded, with the line breaks in it: nobody's name can add a header.
        mail["To"] = Address("" if "=?" in words["name"] else words["name"], addr_spec=to)
        mail["Subject"] = f"Your order {words['order']} is on its way"
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{notice_id(EMAIL, order)}@{sender_address(self.sender).rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(_MAIL.format(**words), cte="quoted-printable")
        return mail

    def text(self, order: Message) -> Message:
        """For a customer who chose text messages, as their provider wants it; its id is made of the order's number."""
        data = fields_of(order)
        words = self._words(order, data)
        said = f"Your order {words['order']} is on its way with {words['carrier']}. {words['link']}"
        told = {"order_id": words["order"], "to": phone_number(data), "text": said}
        key = notice_id(TEXT, order).encode()
        return Message.of(told, key=order_id(order).encode()).with_attributes(**{MESSAGE_ID: key})

    def _words(self, order: Message, data: dict[str, Any]) -> dict[str, str]:
        number = order_id(order)
        link = f"{self.site}/orders/{quote(number, safe='')}"
        return {"name": line(data, "name"), "carrier": line(data, "carrier"), "order": number, "link": link}
