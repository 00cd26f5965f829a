"""sqlite:///path/queues.db: durable queues in one file, without a server."""

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

#: One worker's share of a long backlog.
_SPLIT = 50_000
#: A batch ends at whichever comes first, so that memory stays bounded with large messages.
_BATCH, _BATCH_BYTES = 4096, 16 * 2**20
#: A transaction of this size has its costs spread; a longer one would only keep other writers waiting.
_SPILL = 20_000
_END = "SELECT id, next_offset FROM topics WHERE name = ?"


class SqliteQueue(Queue):
    """A topic in a SQLite database, with Kafka's semantics: `sqlite:///data/queues.db?topic=orders&group=shipping`.

    Messages are appended, get offsets 0, 1, 2, ... and stay; every group reads all of them, from where it stands.
    Any number of processes of one machine may read and write at once.
    A topic comes into being when it is first written, or when a writer is flushed without a message.
    """

    parameters = (
        Parameter("topic", "Name of the topic in the database; any text."),
        Parameter("group", "Name of the reader, under which its position is kept; needed for reading.", default=None),
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
        self._topic, self._group = self.params["topic"], self.params["group"]
        if not self._topic or self._group == "":
            missing = "group" if self._topic else "topic"
            raise ValueError(
                f"the queue {uri.text} names no {missing}; write sqlite://{uri.path}?topic=name&group=name"
            )

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        """Another topic whose name begins with the prefix's `topic`."""
        if "topic=" not in prefix:
            raise ValueError(f"{prefix!r} is a database without the beginning of a topic's name; add ?topic=")
        return super().under(prefix, name, group)

    def sibling(self, name: str) -> str:
        """Another topic of this database."""
        return f"sqlite://{self.uri.path}?topic={quote(name, safe='{}')}"

    def splits(self) -> list[Split]:
        """From the group's position to the end."""
        if self._group is None:
            raise QueueError(
                f"the queue {self} is read without a group; add &group=NAME, under which positions are kept"
            )
        with reading(self._path) as db:
            topic, stop = self._find(db)
            committed = "SELECT next_offset FROM positions WHERE topic = ? AND reader = ?"
            (start,) = db.execute(committed, (topic, self._group)).fetchone() or (0,)
        return [Split(self._topic, at, min(at + _SPLIT, stop)) for at in range(start, stop, _SPLIT)]

    def read(self, split: Split) -> Iterator[list[Message]]:
        """Batches, each by a short read of its own: nobody is kept waiting while the work goes on."""
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
        found = db.execute(_END, (self._topic,)).fetchone()
        if found is None:
            names = ", ".join(name for (name,) in db.execute("SELECT name FROM topics ORDER BY name"))
            raise QueueError(
                f"the database {self._path} has no topic {self._topic!r}; it has {names or 'none yet'}; "
                "a topic comes into being when it is first written"
            )
        return found

    def commit(self, positions: Iterable[Position]) -> None:
        """The group starts there next time; a position behind the one that stands changes nothing."""
        statement = (
            "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET next_offset = max(next_offset, excluded.next_offset)"
        )
        with closing(connect(self._path)) as db, writing(self._path, db):
            topic, _ = self._find(db)
            db.executemany(statement, [(topic, self._group, position.offset) for position in positions])

    def writer(self) -> Writer:
        """Appends to the topic."""
        return _SqliteWriter(self._path, self._topic)


class _SqliteWriter(Writer):
    """Gathers rows and appends them in transactions, never holding the lock between calls: a pipeline may write several
    topics of one database from one thread."""

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
                    raise ValueError(f"{size:,} bytes are more than the {self._limit:,} that SQLite takes")
            except (TypeError, ValueError) as error:
                self._rejected.append(Rejected(message, error))
                continue
            self._rows.append((value, key, pairs, timestamp))
            self._room -= size
            if len(self._rows) >= _SPILL or self._room < 0:
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
            topic, start = db.execute(_END, (self._topic,)).fetchone() or self._new_topic(db)
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
