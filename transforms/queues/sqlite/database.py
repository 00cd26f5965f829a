"""The database of sqlite:// queues: schema, settings, and errors as sentences."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ...base.errors import QueueError

__all__ = ["connect", "reading", "writing"]

#: Seconds to wait for other writers; each holds the lock for milliseconds.
_LOCK_TIMEOUT = 30.0
#: Marks the file as a queue database ("beam"), so that another program's database is never changed.
_APPLICATION = 0x6265616D
_VERSION = 1
_SETTINGS = (
    "page_size = 8192",  # A page holds some dozens of messages; measured faster than 4 and 16 KiB.
    "cache_size = -16384",  # A transaction fits in it, so each page is written once.
    # FULL, not WAL's usual NORMAL: the source's position may be kept elsewhere (Kafka) and is committed after the
    # flush, so a power cut must not lose flushed messages. It costs one fsync per flush.
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
def _database_errors(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and of the file system into a QueueError of one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise QueueError(_explanation(path, str(error))) from error
    except OSError as error:
        raise QueueError(
            f"the folder of the database {path} can't be created: {error.strerror}; name another path"
        ) from error


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection to a queue database. `create` creates the database if there is none."""
    with _database_errors(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise QueueError(f"the queue database {path} does not exist; check the path, or write to the queue first")
        uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        # Beam may finish a bundle in another thread than it started it in, but never uses two at once.
        db = sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, create)
        except BaseException:
            db.close()
            raise
        return db


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for reading. In WAL mode readers and writers do not wait for each other."""
    with _database_errors(path), closing(connect(path)) as db:
        db.execute("PRAGMA query_only = ON")
        yield db


@contextmanager
def writing(path: Path, db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start, so that what it reads stays valid until it writes."""
    with _database_errors(path):
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
            if _is_new(db):  # No other process has created the schema meanwhile.
                for statement in _SCHEMA:
                    db.execute(statement)
    if _is_new(db):
        raise QueueError(f"the database {path} is empty; write to the queue first")
    application, version = _application_and_version(db)
    if application != _APPLICATION:
        raise QueueError(f"the database {path} belongs to another program; name a separate file for the queues")
    if version != _VERSION:
        raise QueueError(
            f"the database {path} has queue schema {version}, and this version knows {_VERSION}; update beam-patterns"
        )


def _is_new(db: sqlite3.Connection) -> bool:
    return _application_and_version(db) == (0, 0) and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _make_wal(db: sqlite3.Connection) -> None:
    """Switches to WAL mode. SQLite itself does not wait for the lock when the mode changes."""
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _application_and_version(db: sqlite3.Connection) -> tuple[int, int]:
    return db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0]


def _explanation(path: Path, reason: str) -> str:
    if "not a database" in reason:
        return f"the file {path} is not an SQLite database; name another path, where the database will be created"
    if "locked" in reason:
        return f"another program has locked the database {path} for {_LOCK_TIMEOUT:g} s; end that program first"
    if "readonly" in reason or "unable to open" in reason:
        what = "is a folder, not a file" if path.is_dir() else "can't be opened for writing"
        return f"the database {path} {what}; allow this user to write to it and its folder, or name another path"
    if "full" in reason:
        return f"the disk of the database {path} is full; free some space and run again"
    return f"the database {path} failed: {reason}"
