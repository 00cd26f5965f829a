"""The SQLite database beneath sqlite:// queues: its schema, its settings, and its errors in one sentence."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ...base.errors import QueueError

__all__ = ["connect", "explained", "reading", "writing"]

#: How long a process waits for others that are writing; each holds the lock for milliseconds.
_PATIENCE = 30.0
#: Marks the file as ours ("beam"), so that no other program's database is ever changed.
_APPLICATION = 0x6265616D
_VERSION = 1
_SETTINGS = (
    "page_size = 8192",  # Pages that hold some dozens of messages: measured faster than 4 and 16 KiB.
    "cache_size = -16384",  # A transaction fits, so that its pages are written once.
    # FULL, not WAL's usual NORMAL: the source's position may live elsewhere (Kafka) and is committed after us, so a
    # power cut must not take back what was said to be written. It costs one fsync per flush.
    "synchronous = FULL",
)
_SCHEMA = (
    "CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next_offset INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE positions (topic INTEGER NOT NULL REFERENCES topics, reader TEXT NOT NULL, "
    "next_offset INTEGER NOT NULL, PRIMARY KEY (topic, reader)) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the database inside is a QueueError in one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise QueueError(_sentence(path, str(error))) from error
    except OSError as error:
        raise QueueError(f"the folder of the database {path} can't be made: {error.strerror}; name another") from error


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection to a queue database, which is made if `create` says so."""
    with explained(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise QueueError(f"there is no queue database {path}; check the path, or write to the queue first")
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        # Beam may finish a bundle in another thread than it began in, never in two at once.
        db = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, create)
        except BaseException:
            db.close()
            raise
        return db


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for reading: in WAL mode it neither waits for writers nor makes them wait."""
    with explained(path), closing(connect(path)) as db:
        db.execute("PRAGMA query_only = ON")
        yield db


@contextmanager
def writing(path: Path, db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that has the write lock from its start, so that what it reads is still true when it writes."""
    with explained(path):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _prepare(db: sqlite3.Connection, path: Path, create: bool) -> None:
    for setting in _SETTINGS:
        db.execute(f"PRAGMA {setting}")
    if create and _is_new(db):
        _make_wal(db)
        with writing(path, db):
            if _is_new(db):  # Nobody else was faster.
                for statement in _SCHEMA:
                    db.execute(statement)
    if _is_new(db):
        raise QueueError(f"the database {path} is empty; write to the queue first")
    application, version = _stamp(db)
    if application != _APPLICATION:
        raise QueueError(f"the database {path} belongs to another program; name a file of its own for the queues")
    if version != _VERSION:
        raise QueueError(
            f"the database {path} has queue schema {version}, this version knows {_VERSION}; update beam-patterns"
        )


def _is_new(db: sqlite3.Connection) -> bool:
    return _stamp(db) == (0, 0) and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _make_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait for the lock by itself when the mode changes."""
    deadline = time.monotonic() + _PATIENCE
    while db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _stamp(db: sqlite3.Connection) -> tuple[int, int]:
    return db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0]


def _sentence(path: Path, said: str) -> str:
    if "not a database" in said:
        return f"the file {path} is no SQLite database; name another path, it would be made"
    if "locked" in said:
        return f"the database {path} has been locked by another program for {_PATIENCE:g} s; end that program first"
    if "readonly" in said or "unable to open" in said:
        what = "is a folder, not a file" if path.is_dir() else "can't be opened for writing"
        return (
            f"the database {path} {what}; give this user the right to write to it and its folder, or name another path"
        )
    if "full" in said:
        return f"the disk of the database {path} is full; free some space and run again"
    return f"the database {path} failed: {said}"
