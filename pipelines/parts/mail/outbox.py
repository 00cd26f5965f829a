"""What an outbox promises: a mail, known by its Message-ID, is handed over once."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path

__all__ = ["Outbox", "RefusedError"]


class RefusedError(Exception):
    """A mail that this outbox will never deliver: a dead letter, with the reason."""


class Outbox(ABC):
    """Delivers mails and remembers which, in a small SQLite file, so that a repeated run sends none again."""

    def __init__(self, address: str, sent: Path) -> None:
        self._address, self._sent = address, sent
        self._memory: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return self._address

    def open(self) -> None:
        """Connects; before the first mail, on the worker."""
        self._sent.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time, but a runner may close from another.
        self._memory = sqlite3.connect(self._sent, timeout=60, isolation_level=None, check_same_thread=False)
        self._memory.execute("PRAGMA journal_mode = WAL")
        # Each mail is remembered before the next is sent; NORMAL survives a kill of the process at any moment.
        self._memory.execute("PRAGMA synchronous = NORMAL")
        self._memory.execute("CREATE TABLE IF NOT EXISTS sent (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def send(self, mail: EmailMessage) -> bool:
        """Takes a mail; False if it had been delivered before. Raises RefusedError, QueueError if nothing goes."""
        found = self._opened.execute("SELECT 1 FROM sent WHERE id = ?", (mail["Message-ID"],)).fetchone()
        return found is None and self._take(mail)

    @abstractmethod
    def _take(self, mail: EmailMessage) -> bool:
        """Delivers a mail, at the latest in `flush`; False if this outbox sees that it has been there."""

    def flush(self) -> None:
        """Returns when all mails taken are where they belong."""
        return

    def _remember(self, ids: Iterable[str]) -> None:
        with self._opened as transaction:
            transaction.execute("BEGIN IMMEDIATE")
            transaction.executemany("INSERT OR IGNORE INTO sent VALUES (?)", ((name,) for name in ids))

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._memory is not None, "an outbox is opened first"
        return self._memory

    def close(self) -> None:
        """Ends the connection."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None
