"""What a kind of queue must offer, and how a URI finds it. One kind, one file; the rest knows only this."""

import importlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import apache_beam as beam

from ..core.coders import RecordCoder
from ..core.message import Message

__all__ = [
    "Position",
    "Queue",
    "QueueError",
    "QueueUri",
    "Rejected",
    "Split",
    "UnreadableError",
    "Writer",
    "open_queue",
]

#: Where each scheme is implemented; modules are imported when a URI asks for them.
_KINDS = {
    "file": "files:file_queue",
    "gs": "files:file_queue",
    "http": "http:HttpQueue",
    "https": "http:HttpQueue",
    "kafka": "kafka:KafkaQueue",
    "memory": "memory:MemoryQueue",
    "pubsub": "pubsub:PubSubQueue",
    "sqlite": "sqlite:SqliteQueue",
}
#: Seconds between two looks at a queue that has nothing new.
_POLL = 0.5
_EXAMPLE = "kafka://host:9092/topic?group=name, sqlite:///path/queues.db?topic=name&group=name, /data/*.jsonl"


class QueueError(Exception):
    """A queue can't be reached, read or written: one sentence that names the queue, the setting and the fix."""


class UnreadableError(QueueError):
    """A part of a queue holds something else than messages (a truncated file): the part, for the dead letters."""

    def __init__(self, sentence: str, payload: bytes = b"", offset: int | None = None) -> None:
        super().__init__(sentence)
        self.payload, self.offset = payload, offset

    def __reduce__(self) -> Any:
        return UnreadableError, (str(self), self.payload, self.offset)


@RecordCoder.register
class Split(NamedTuple):
    """A part of a queue that one worker reads: offsets from start up to stop, without stop."""

    partition: str
    start: int
    stop: int


@RecordCoder.register
class Position(NamedTuple):
    """How far a partition has been read: the offset of the next message."""

    partition: str
    offset: int


class Rejected(NamedTuple):
    """A message that the queue will never take (too large, unknown topic), and why."""

    message: Message
    error: Exception


class QueueUri(NamedTuple):
    """A queue's address, parsed: scheme://host/path?name=value.

    >>> QueueUri.parse("kafka://a:9092,b:9092/orders?group=shipping").params["group"]
    'shipping'
    """

    text: str
    scheme: str
    host: str
    path: str
    params: Mapping[str, str]

    @staticmethod
    def parse(text: str) -> "QueueUri":
        """The parts of a URI; a plain path is a file."""
        if not isinstance(text, str) or not text:
            raise ValueError(f"a queue is named by a URI, not {text!r}; for instance {_EXAMPLE}")
        if "://" not in text:
            return QueueUri(text, "file", "", text, {})
        parts = urlsplit(text)
        if "@" in parts.netloc:
            shown = re.sub(r"//[^@/]*@", "//...@", text)
            raise ValueError(
                f"the queue {shown} has a user name or password in it, which would end up in logs; "
                "put credentials into a settings file or the environment"
            )
        path = text.partition("://")[2].partition("?")[0] if parts.scheme == "file" else parts.path
        if parts.scheme == "file":
            path = unquote(path.removeprefix("localhost"))
        elif parts.scheme == "gs":
            path = text.partition("?")[0]
        return QueueUri(text, parts.scheme, parts.netloc, path, dict(parse_qsl(parts.query, keep_blank_values=True)))

    def only(self, *known: str) -> None:
        """Refuses parameters that this kind of queue does not have: a misspelt one must not be silently ignored."""
        for name in self.params:
            if name not in known:
                raise ValueError(
                    f"the queue {self.text} has an unknown parameter {name!r}; known are {', '.join(known) or 'none'}"
                )


class Writer(ABC):
    """An open connection for writing, used by one thread."""

    @abstractmethod
    def write(self, messages: Sequence[Message]) -> None:
        """Takes a batch; may return before it is durable."""

    def write_with_ids(self, messages: Sequence[Message]) -> None:
        """The same, each message with its id. A TypeError or ValueError for what has none; then nothing is taken."""
        self.write(Message.with_ids(messages))

    @abstractmethod
    def flush(self) -> Sequence[Rejected]:
        """Returns when all that was taken is durable, with what the queue rejected. Raises QueueError on failure."""

    def close(self) -> None:
        """Ends the connection; what was not flushed may be lost."""
        return


class Queue(ABC):
    """One queue, made from its URI; connects when used, never in the constructor. Picklable."""

    #: Whether a group's position is kept by the queue, so that committing means something.
    keeps_positions = False
    #: The field of a message's JSON that says its time, if the URI names one.
    time_field = ""

    def __init__(self, uri: QueueUri) -> None:
        self.uri = uri

    def __str__(self) -> str:
        return self.uri.text

    @abstractmethod
    def splits(self) -> Sequence[Split]:
        """What there is to read now: from the group's committed position to the end; no empty splits."""

    @abstractmethod
    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The messages of a split, in batches of some thousand, in order.

        A part that can't be read is yielded where others follow it, and raised where it is the rest of the split.
        """

    @contextmanager
    def reading(self) -> Iterator[Callable[[Split], Iterator[list[Message] | UnreadableError]]]:
        """`read`, for several splits one after the other: what connects does so once for all of them."""
        yield self.read

    def commit(self, positions: Iterable[Position]) -> None:
        """Moves the group's position forward; never backward."""
        return

    def create(self) -> None:
        """Makes sure that the topic is there. By default what opening a writer makes, which may be nothing."""
        writer = self.writer()
        writer.flush()
        writer.close()

    def listen(self) -> Iterator[list[Message]]:
        """Messages as they come, for ever, without a pipeline; committed when the next ones are asked for."""
        if not self.keeps_positions:
            raise QueueError(f"the queue {self} keeps no positions, so nobody can follow it; read it as a whole")
        while True:
            splits = self.splits()
            for split in splits:
                for batch in self.read(split):
                    if isinstance(batch, UnreadableError):
                        raise batch
                    yield batch
                self.commit([Position(split.partition, split.stop)])
            if not splits:
                time.sleep(_POLL)

    def fitted(self, message: Message) -> Message:
        """The message as this queue can hold it, ready for `write_transform`; a ValueError says why it can't."""
        return message

    @abstractmethod
    def writer(self) -> Writer:
        """A new connection for writing."""

    def with_topics(self, choose: Callable[[Message], str]) -> "Queue":
        """A copy that writes each message to the topic that the function names, where this kind can."""
        raise ValueError(f"the queue {self} is written as a whole: topic=... is for kafka://")

    def read_transform(self, handler: Any) -> beam.PTransform | None:
        """A transform of this kind's own, PBegin -> (messages, positions), where splits and read are not enough."""
        return None

    def follow_transform(self) -> beam.PTransform | None:
        """PBegin -> (messages without end, None), for `--streaming`, where this kind can; it commits by itself."""
        return None

    def write_transform(self) -> beam.PTransform | None:
        """A transform of this kind's own, PCollection[Message] -> PCollection[Written], for more than a Writer can."""
        return None


def open_queue(uri: str) -> Queue:
    """The queue that a URI names. Checks the URI, does not connect."""
    parsed = QueueUri.parse(uri)
    place = _KINDS.get(parsed.scheme)
    if place is None:
        raise ValueError(
            f"the queue {uri} starts with {parsed.scheme}://, which is none of {', '.join(sorted(_KINDS))}; "
            f"for instance {_EXAMPLE}"
        )
    module, name = place.split(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)(parsed)
