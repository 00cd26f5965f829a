"""sqlite:///path/queues.db?topic=name: durable queues in one file, without a server."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from ...base.errors import QueueError
from ...base.message import Message
from ..parameters import Parameter
from ..queue import Position, Queue, Rejected, Split, Writer
from ..record_json import attributes_from_json, attributes_to_json
from ..uri import QueueUri
from .database import connect, reading, writing

__all__ = ["SqliteQueue"]

#: Number of messages in a split: one worker's share of a long backlog.
_SPLIT = 50_000
#: A batch ends at the first of these limits, so that large messages do not fill the memory.
_BATCH, _BATCH_BYTES = 4096, 16 * 2**20
#: A larger transaction would not be faster per message, and would keep other writers waiting.
_TRANSACTION = 20_000
_FIND_TOPIC = "SELECT id, next_offset FROM topics WHERE name = ?"


class SqliteQueue(Queue):
    """A topic in a SQLite database, with Kafka's semantics: `sqlite:///data/queues.db?topic=orders&group=shipping`.

    Messages are appended, get the offsets 0, 1, 2, ... and are never deleted. Each group reads all of them, from its
    own position. Any number of processes on one machine may read and write at once.
    A topic is created when it is first written, or when a writer is flushed without a message.
    """

    parameters = (
        Parameter("topic", "Name of the topic, any text. Always needed."),
        Parameter("group", "The group, under which the read position is kept. Needed for reading.", default=None),
    )
    keeps_positions = True
    needs_group = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        if uri.host or not uri.path.strip("/"):
            example = Path.cwd() / (uri.host + uri.path or "queues.db")
            raise ValueError(
                f"the queue {uri.text} needs an absolute path with three slashes: sqlite://{example}?topic=name"
            )
        self._path = Path(unquote(uri.path))
        self._topic = self.params["topic"]
        if not self._topic or self.params["group"] == "":
            missing = "group" if self._topic else "topic"
            raise ValueError(
                f"the queue {uri.text} names no {missing}; write sqlite://{uri.path}?topic=name&group=name"
            )

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        if "topic=" not in prefix:
            raise ValueError(f"{prefix!r} names a database but no beginning of a topic's name; add ?topic=")
        return super().under(prefix, name, group)

    def sibling(self, name: str) -> str:
        return f"sqlite://{self.uri.path}?topic={quote(name, safe='{}')}"

    def splits(self) -> list[Split]:
        group = self.group
        with reading(self._path) as db:
            topic, stop = self._find(db)
            committed = "SELECT next_offset FROM positions WHERE topic = ? AND reader = ?"
            (start,) = db.execute(committed, (topic, group)).fetchone() or (0,)
        return [Split(self._topic, at, min(at + _SPLIT, stop)) for at in range(start, stop, _SPLIT)]

    def read(self, split: Split) -> Iterator[list[Message]]:
        """Reads each batch in a short transaction, so that none stays open while the batch is processed."""
        with reading(self._path) as db:
            topic, _ = self._find(db)
            start = split.start
            while batch := self._batch(db, topic, start, split.stop):
                start = batch[-1].source[2] + 1  # type: ignore[index,misc]
                yield batch

    def _batch(self, db: sqlite3.Connection, topic: int, start: int, stop: int) -> list[Message]:
        query = (
            "SELECT position, value, message_key, attributes, timestamp FROM "  # noqa: S608 (the topic is a number)
            f"messages_{topic:d} WHERE position >= ? AND position < ? ORDER BY position LIMIT {_BATCH}"
        )
        make, name, room, batch = Message._make, self._topic, _BATCH_BYTES, list[Message]()
        for offset, value, key, attributes, timestamp in db.execute(query, (start, stop)):
            pairs = attributes_from_json(attributes) if attributes else ()
            batch.append(make((value, key, pairs, timestamp, (name, 0, offset))))
            room -= len(value) if value else 0
            if room < 0:
                break
        return batch

    def _find(self, db: sqlite3.Connection) -> tuple[int, int]:
        found = db.execute(_FIND_TOPIC, (self._topic,)).fetchone()
        if found is None:
            names = ", ".join(name for (name,) in db.execute("SELECT name FROM topics ORDER BY name"))
            raise QueueError(
                f"the database {self._path} has no topic {self._topic!r}; it has {names or 'none yet'}; "
                "a topic is created when it is first written"
            )
        return found

    def commit(self, positions: Iterable[Position]) -> None:
        statement = (
            "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET next_offset = max(next_offset, excluded.next_offset)"
        )
        with closing(connect(self._path)) as db, writing(self._path, db):
            topic, _ = self._find(db)
            db.executemany(statement, [(topic, self.group, position.offset) for position in positions])

    def writer(self) -> Writer:
        return _SqliteWriter(self._path, self._topic)


class _SqliteWriter(Writer):
    """Collects rows and appends them in transactions.

    It never holds the lock between calls, because a pipeline may write several topics of one database in one thread.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path, self._topic = path, topic
        self._rows = list[tuple[bytes | None, bytes | None, bytes | None, float | None]]()
        self._rejected = list[Rejected]()
        self._room = _BATCH_BYTES
        self._db = connect(path, create=True)
        self._limit = self._db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - 1000

    def write(self, messages: Sequence[Message]) -> None:
        for message in messages:
            value, key, attributes, timestamp, _ = message
            try:
                pairs = attributes_to_json(attributes) if attributes else None
                size = len(value or b"") + len(key or b"") + len(pairs or b"")
                if size > self._limit:
                    raise ValueError(f"its {size:,} bytes are more than SQLite's limit of {self._limit:,}")
            except (TypeError, ValueError) as error:
                self._rejected.append(Rejected(message, error))
                continue
            self._rows.append((value, key, pairs, timestamp))
            self._room -= size
            if len(self._rows) >= _TRANSACTION or self._room < 0:
                self._append()

    def flush(self) -> list[Rejected]:
        self._append()
        rejected, self._rejected = self._rejected, []
        return rejected

    def close(self) -> None:
        self._db.close()

    def _append(self) -> None:
        db = self._db
        with writing(self._path, db):
            topic, start = db.execute(_FIND_TOPIC, (self._topic,)).fetchone() or self._new_topic(db)
            insert = f"INSERT INTO messages_{topic:d} VALUES (?, ?, ?, ?, ?)"  # noqa: S608 (the topic is a number)
            db.executemany(insert, [(start + i, *row) for i, row in enumerate(self._rows)])
            db.execute("UPDATE topics SET next_offset = ? WHERE id = ?", (start + len(self._rows), topic))
        self._rows, self._room = [], _BATCH_BYTES

    def _new_topic(self, db: sqlite3.Connection) -> tuple[int, int]:
        topic = db.execute("INSERT INTO topics (name) VALUES (?)", (self._topic,)).lastrowid
        db.execute(
            f"CREATE TABLE messages_{topic:d} (position INTEGER PRIMARY KEY, "
            "value BLOB, message_key BLOB, attributes TEXT, timestamp REAL)"
        )
        return topic or 0, 0
