"""What an outbox promises: a mail, identified by its Message-ID, is delivered once."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path

__all__ = ["Outbox", "RefusedError"]


class RefusedError(Exception):
    """This outbox will never deliver the mail, for the given reason: the message becomes a dead letter."""


class Outbox(ABC):
    """Delivers mails and records their ids in a small SQLite file, so that a repeated run sends none of them again."""

    def __init__(self, address: str, sent: Path) -> None:
        self._address, self._sent = address, sent
        self._record: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return self._address

    def open(self) -> None:
        """Connects. The first `send` does so too, on the worker, so that a run without mails needs no server."""
        self._sent.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time, but a runner may close it from another thread.
        self._record = sqlite3.connect(self._sent, timeout=60, isolation_level=None, check_same_thread=False)
        self._record.execute("PRAGMA journal_mode = WAL")
        # Each mail is recorded before the next is sent; NORMAL survives a kill of the process at any moment.
        self._record.execute("PRAGMA synchronous = NORMAL")
        self._record.execute("CREATE TABLE IF NOT EXISTS sent (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def send(self, mail: EmailMessage) -> bool:
        """Delivers a mail, at the latest in `flush`; returns False if it was delivered before.

        Raises RefusedError for this mail, and QueueError if the outbox can't deliver any mail.
        """
        found = self._opened.execute("SELECT 1 FROM sent WHERE id = ?", (mail["Message-ID"],)).fetchone()
        return found is None and self._deliver(mail)

    @abstractmethod
    def _deliver(self, mail: EmailMessage) -> bool:
        """Delivers a mail, at the latest in `flush`; returns False if this outbox already has it."""

    def flush(self) -> None:
        """Returns when all mails are delivered."""
        return

    def _remember(self, ids: Iterable[str]) -> None:
        with self._opened as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany("INSERT OR IGNORE INTO sent VALUES (?)", ((name,) for name in ids))

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._record is None:
            self.open()
        assert self._record is not None
        return self._record

    def close(self) -> None:
        """Closes the connection."""
        if self._record is not None:
            self._record.close()
            self._record = None
