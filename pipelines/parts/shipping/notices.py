"""The notices that customers receive when their order is on its way."""

from email.message import EmailMessage
from typing import Any, NamedTuple
from urllib.parse import quote

from beam_patterns.pipelines.parts.fields import email_address, fields_of, line, phone_number
from beam_patterns.pipelines.parts.mail import new_mail
from beam_patterns.transforms.queues import MESSAGE_ID, Message

from .orders import EMAIL, SMS, notice_id, order_id

__all__ = ["Notices"]

_MAIL = """\
Hello {name},

your order {order} is on its way with {carrier}.

    {link}
"""


class Notices(NamedTuple):
    """All notices, with what they have in common."""

    sender: str
    """The sender, such as: Example Shop <hello@shop.example>."""
    site: str
    """The site that links lead to, such as: https://shop.example."""

    def mail(self, order: Message) -> EmailMessage:
        """The mail for a customer who chose mails."""
        data = fields_of(order)
        address, words = email_address(data), self._words(order, data)
        subject = f"Your order {words['order']} is on its way"
        return new_mail(self.sender, words["name"], address, subject, notice_id(EMAIL, order), _MAIL.format(**words))

    def text(self, order: Message) -> Message:
        """The request to the provider of text messages; its id is derived from the order's number."""
        data = fields_of(order)
        words = self._words(order, data)
        text = f"Your order {words['order']} is on its way with {words['carrier']}. {words['link']}"
        request = {"order_id": words["order"], "to": phone_number(data), "text": text}
        message = Message.of(request, key=words["order"].encode())
        return message.with_attributes(**{MESSAGE_ID: notice_id(SMS, order).encode()})

    def _words(self, order: Message, data: dict[str, Any]) -> dict[str, str]:
        number = order_id(order)
        link = f"{self.site}/orders/{quote(number, safe='')}"
        return {"name": line(data, "name"), "carrier": line(data, "carrier"), "order": number, "link": link}
