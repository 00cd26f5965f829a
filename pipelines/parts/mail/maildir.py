"""A folder of mails that every mail program can read."""

import mailbox
import os
import sqlite3
from contextlib import suppress
from email.message import EmailMessage
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from beam_patterns.transforms.queues import QueueError

from .outbox import Outbox

__all__ = ["MaildirOutbox"]


#: So many mails share one sync.
_HELD = 1000


class MaildirOutbox(Outbox):
    """A Maildir whose file names derive from the Message-ID, so that a second delivery meets the first.

    Mails are written to tmp/, synced some hundred at a time, and linked into new/: a kill at any moment leaves a whole
    mail or none, and of two processes that deliver the same mail one finds it there already.
    """

    def __init__(self, folder: Path, sent: Path, address: str) -> None:
        super().__init__(address, sent)
        self._folder = folder
        self._held: dict[str, tuple[Path, str]] = {}

    def open(self) -> None:
        """Makes the folder, and tidies what a killed run left in tmp/ more than 36 hours ago."""
        try:
            mailbox.Maildir(self._folder).clean()
            super().open()
            # What has been read lies in cur/, its name followed by flags.
            self._read = {entry.name.partition(":")[0] for entry in os.scandir(self._folder / "cur")}
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"the Maildir {self._folder} can't be used: {_said(error)}") from error

    def _take(self, mail: EmailMessage) -> bool:
        name = blake2b(str(mail["Message-ID"]).encode(), digest_size=16).hexdigest()
        if name in self._held:
            return False
        if name in self._read or (self._folder / "new" / name).exists():
            self._remember([str(mail["Message-ID"])])  # A killed run did not come to that, and readers delete mails.
            return False
        draft = self._folder / "tmp" / f"{name}.{uuid4().hex}"
        self._held[name] = draft, str(mail["Message-ID"])
        try:
            draft.write_bytes(bytes(mail))
        except OSError as error:
            raise QueueError(f"the Maildir {self._folder} can't take a mail: {_said(error)}") from error
        if len(self._held) >= _HELD:
            self.flush()
        return True

    def flush(self) -> None:
        """Makes the drafts durable and delivers them."""
        if not self._held:
            return
        os.sync()  # Once for all: a sync for each mail takes longer than everything else together.
        try:
            for name, (draft, _) in self._held.items():
                with suppress(FileExistsError):  # Another process was faster with the same mail.
                    (self._folder / "new" / name).hardlink_to(draft)
                draft.unlink()
        except OSError as error:
            raise QueueError(f"the Maildir {self._folder} can't take a mail: {_said(error)}") from error
        self._remember(message_id for _, message_id in self._held.values())
        self._held = {}


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
