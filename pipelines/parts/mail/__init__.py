"""Outboxes that deliver a mail once: `open_outbox("/path/maildir")`, `open_outbox("smtp://host:port")`."""

from .address import open_outbox
from .compose import new_mail, sender_address
from .deliver import Deliver
from .outbox import Outbox, RefusedError

__all__ = ["Deliver", "Outbox", "RefusedError", "new_mail", "open_outbox", "sender_address"]
