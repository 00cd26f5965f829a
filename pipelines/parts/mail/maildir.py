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

#: Number of mails that share one sync of the disk.
_BATCH = 1000


class MaildirOutbox(Outbox):
    """A Maildir whose file names derive from the Message-ID, so that a second delivery finds the first.

    Mails are written to tmp/, synced in batches, and linked into new/: a kill at any moment leaves a whole mail or
    none, and of two processes that deliver the same mail one finds the other's.
    """

    def __init__(self, folder: Path, sent: Path, address: str) -> None:
        super().__init__(address, sent)
        self._folder = folder
        #: Paths and Message-IDs of the mails in tmp/, by their name in new/.
        self._drafts: dict[str, tuple[Path, str]] = {}

    def open(self) -> None:
        """Makes the folder, and deletes drafts that a killed run left in tmp/ more than 36 hours ago."""
        try:
            mailbox.Maildir(self._folder).clean()
            super().open()
            # Mail programs move mails that they have shown to cur/, and append flags to their names.
            self._read = {entry.name.partition(":")[0] for entry in os.scandir(self._folder / "cur")}
        except (OSError, sqlite3.Error) as error:
            raise QueueError(f"can't use the Maildir {self._folder}: {_reason(error)}") from error

    def _deliver(self, mail: EmailMessage) -> bool:
        name = blake2b(str(mail["Message-ID"]).encode(), digest_size=16).hexdigest()
        if name in self._drafts:
            return False
        if name in self._read or (self._folder / "new" / name).exists():
            self._remember([str(mail["Message-ID"])])  # A killed run did not record it, and users delete mails.
            return False
        draft = self._folder / "tmp" / f"{name}.{uuid4().hex}"
        self._drafts[name] = draft, str(mail["Message-ID"])
        try:
            draft.write_bytes(bytes(mail))
        except OSError as error:
            raise QueueError(f"can't write a mail to the Maildir {self._folder}: {_reason(error)}") from error
        if len(self._drafts) >= _BATCH:
            self.flush()
        return True

    def flush(self) -> None:
        """Makes the drafts durable and delivers them."""
        if not self._drafts:
            return
        os.sync()  # Once for all drafts: a sync per mail takes longer than everything else together.
        try:
            for name, (draft, _) in self._drafts.items():
                with suppress(FileExistsError):  # Another process was faster with the same mail.
                    (self._folder / "new" / name).hardlink_to(draft)
                draft.unlink()
        except OSError as error:
            raise QueueError(f"can't write a mail to the Maildir {self._folder}: {_reason(error)}") from error
        self._remember(message_id for _, message_id in self._drafts.values())
        self._drafts = {}


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
