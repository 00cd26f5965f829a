"""Outboxes that deliver a mail once: `open_outbox("/path/maildir")`, `open_outbox("smtp://host:port")`."""

from pathlib import Path
from urllib.parse import urlsplit

from .compose import new_mail, sender_address
from .deliver import Deliver
from .maildir import MaildirOutbox
from .outbox import Outbox, RefusedError
from .smtp import SmtpOutbox

__all__ = ["Deliver", "Outbox", "RefusedError", "new_mail", "open_outbox", "sender_address"]


def open_outbox(address: str, sent: str = "") -> Outbox:
    """The outbox that `--mail` names; does not connect yet. Ids of sent mails are recorded in the file `sent`.

    >>> str(open_outbox("smtp://localhost:2525")), str(open_outbox("outbox"))
    ('smtp://localhost:2525', 'outbox')
    """
    if "://" not in address:
        return MaildirOutbox(Path(address).absolute(), Path(sent or Path(address) / "sent.db").absolute(), address)
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError(
            "--mail has a user name or password in it, which would end up in logs; set BEAM_PATTERNS_SMTP_USER and "
            "BEAM_PATTERNS_SMTP_PASSWORD instead"
        )
    if parts.scheme != "smtp" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"--mail: {address!r} is neither a folder nor smtp://host:port")
    return SmtpOutbox(parts.hostname, parts.port or 25, Path(sent or "sent-mails.db").absolute())
