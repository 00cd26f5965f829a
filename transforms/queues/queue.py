"""What a kind of queue must offer. Everything else in the package knows only this."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import apache_beam as beam

from ..base.coders import RecordCoder
from ..base.errors import QueueError, UnreadableError
from ..base.message import Message
from .parameters import Parameter, parsed
from .uri import QueueUri

__all__ = ["Position", "Queue", "Rejected", "Split", "Writer"]

#: Seconds between two looks at a queue that has nothing new.
_POLL = 0.5


@RecordCoder.register
class Split(NamedTuple):
    """A part of a queue that one worker reads: the offsets from start up to, and without, stop."""

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


class Writer(ABC):
    """An open connection for writing, used by one thread."""

    @abstractmethod
    def write(self, messages: Sequence[Message]) -> None:
        """Takes a batch; may return before it is durable."""

    def write_with_ids(self, messages: Sequence[Message]) -> None:
        """As `write`, each message with its id. Raises TypeError or ValueError, and takes nothing, if one has none."""
        self.write(Message.with_ids(messages))

    @abstractmethod
    def flush(self) -> Sequence[Rejected]:
        """Returns what the queue rejected, when all other messages are durable. Raises QueueError on failure."""

    def close(self) -> None:
        """Ends the connection; messages that were not flushed may be lost."""
        return


class Queue(ABC):
    """One queue, made from its URI. It connects when it is used, never in the constructor, and can be pickled.

    A kind of queue needs `splits`, `read` and `writer`; the rest has defaults. What the package wants to know of a kind
    it asks here, and never looks at the scheme. `beam_patterns.testing.queue_contract` checks a kind.
    """

    #: The parameters in the URI, `?name=value`; their values are in `self.params`.
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    #: Whether the queue keeps a group's position, so that committing means something.
    keeps_positions: ClassVar[bool] = False
    #: Whether reading needs a group, `?group=name`, under which positions are kept.
    needs_group: ClassVar[bool] = False
    #: Whether offsets tell how much there is to read.
    counts_messages: ClassVar[bool] = True
    #: Whether the queue holds messages, and not for instance files that are items themselves.
    holds_messages: ClassVar[bool] = True
    #: Whether the queue can only be read.
    is_readonly: ClassVar[bool] = False
    #: Whether other processes of this machine can reach the queue.
    is_shared: ClassVar[bool] = True
    #: Whether what is written can be read while the writing run goes on, so that a stream can be written.
    takes_streams: ClassVar[bool] = True

    def __init__(self, uri: QueueUri) -> None:
        self.uri = uri
        self.params = parsed(self.parameters, uri, self.allows)

    def __str__(self) -> str:
        return self.uri.text

    @classmethod
    def open(cls, uri: QueueUri) -> "Queue":
        """The queue for a URI: an instance of this class, or of another that knows better."""
        return cls(uri)

    @classmethod
    def allows(cls, name: str) -> bool:
        """Whether a parameter that is not in `parameters` is allowed."""
        return False

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """Whether workers on other machines can reach queues of this kind, as on Dataflow."""
        return False

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        """The URI of the queue `name` under a prefix, with a group to read it. Raises ValueError if it can't be one."""
        return f"{prefix}{name}{_group(prefix, group)}"

    @property
    def time_field(self) -> str:
        """The field of a message's JSON that holds its time, if the URI names one."""
        return str(self.params.get("time", ""))

    @property
    def can_follow(self) -> bool:
        """Whether `--streaming` can read this queue."""
        return self.follow_transform() is not None

    def check_readable(self) -> None:
        """Raises ValueError if this queue can't be read, as far as its URI tells."""
        if self.needs_group and not self.params.get("group"):
            raise ValueError(
                f"{self.uri.text!r} names no group, under which positions are kept; add {_group(self.uri.text, 'NAME')}"
            )

    def check_writable(self) -> None:
        """Raises ValueError if this queue can't be written, as far as its URI tells."""
        if self.is_readonly:
            raise ValueError(f"the queue {self} can only be read; write to Kafka, SQLite or files")

    def overlaps(self, other: "Queue") -> bool:
        """Whether what is written to one of two queues of this kind may be read from the other, whatever the group."""
        mine, theirs = ((q.uri.host, q.uri.path, q.uri.params.get("topic")) for q in (self, other))
        return mine == theirs

    def sibling(self, name: str) -> str | None:
        """The URI of the queue `name` on the same broker or in the same database; None if a name is not enough."""
        return None

    def read_uri(self, group: str) -> str:
        """The URI under which a group reads what is written here."""
        has_group = not self.keeps_positions or "group" in self.uri.params
        return self.uri.text if has_group else f"{self.uri.text}{_group(self.uri.text, group)}"

    def append_uri(self) -> str:
        """The URI under which messages are appended to what is read here. Raises ValueError if there is none."""
        return self.uri.text

    @abstractmethod
    def splits(self) -> Sequence[Split]:
        """What there is to read now: from the group's committed position to the end; no empty splits."""

    @abstractmethod
    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The messages of a split, in batches of some thousand, in order.

        Yields an unreadable part if others follow it, and raises it if it is the rest of the split.
        """

    @contextmanager
    def reading(self) -> Iterator[Callable[[Split], Iterator[list[Message] | UnreadableError]]]:
        """Yields `read`, for several splits in turn: a kind that connects does so once for all of them."""
        yield self.read

    def commit(self, positions: Iterable[Position]) -> None:
        """Moves the group's position forward; never backward."""
        return

    def lag(self) -> Sequence[Split]:
        """How far the group is behind: what it has not read of each partition. Raises QueueError without offsets."""
        if not self.keeps_positions or not self.counts_messages:
            raise QueueError(f"the queue {self} has no offsets to be behind; see `beam-patterns queue count`")
        return self.splits()

    def create(self) -> None:
        """Makes sure that the topic exists. By default creates what opening a writer creates, which may be nothing."""
        writer = self.writer()
        writer.flush()
        writer.close()

    def listen(self) -> Iterator[list[Message]]:
        """Yields messages as they come, without end or pipeline; commits them when asked for the next ones."""
        if not self.keeps_positions:
            raise QueueError(f"the queue {self} keeps no positions, so it can't be followed; read it as a whole")
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
        """The message as this queue can hold it, ready for `write_transform`. Raises ValueError if it can't."""
        return message

    @abstractmethod
    def writer(self) -> Writer:
        """A new connection for writing."""

    def with_topics(self, choose: Callable[[Message], str]) -> "Queue":
        """A copy that writes each message to the topic that the function names. Raises ValueError if it can't."""
        raise ValueError(f"the queue {self} is written as a whole: topic=... is for kafka://")

    def read_transform(self) -> beam.PTransform | None:
        """A transform of this kind's own, PBegin -> (messages, positions), if `splits` and `read` are not enough."""
        return None

    def follow_transform(self) -> beam.PTransform | None:
        """PBegin -> (messages without end, None), for `--streaming`; it commits by itself. None if there is none."""
        return None

    def write_transform(self) -> beam.PTransform | None:
        """A transform of this kind's own, PCollection[Message] -> PCollection[Written], if a Writer is not enough."""
        return None


def _group(uri: str, group: str) -> str:
    return f"{'&' if '?' in uri else '?'}group={group}" if group else ""
