"""Mails of a flow: the headers that all of them have."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from beam_patterns.pipelines.parts.fields import email_address

__all__ = ["new_mail", "sender_address"]


def new_mail(sender: str, name: str, address: str, subject: str, mail_id: str, text: str) -> EmailMessage:
    """A mail from a sender such as `Example Shop <hello@shop.example>`.

    `mail_id` is the Message-ID's part before the sender's domain: the same for the same mail, in whatever run.
    """
    mail = EmailMessage()
    mail["From"] = sender
    # EmailMessage encodes other text than ASCII and refuses line breaks, but it decodes a name that is an encoded
    # word, with its line breaks (Python 3.11.7). Without such names no recipient can add a header.
    mail["To"] = Address("" if "=?" in name else name, addr_spec=address)
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{mail_id}@{sender_address(sender).rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text, cte="quoted-printable")
    return mail


def sender_address(sender: str) -> str:
    """The address in a From line. Raises ValueError for an invalid one."""
    _, address = parseaddr(sender)
    try:
        return email_address({"email": address})
    except ValueError:
        raise ValueError(f"--sender: {sender!r} is not a name and address such as Shop <hello@shop.example>") from None
