"""The interface of a kind of queue: everything else in the package uses only this."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import apache_beam as beam

from ..base.coders import RecordCoder
from ..base.errors import QueueError, UnreadableError
from ..base.message import Message
from .parameters import Parameter, parse_parameters
from .uri import QueueUri

__all__ = ["Position", "Queue", "Rejected", "Split", "Writer"]

#: Seconds between two checks of a queue that has nothing new.
_POLL = 0.5


@RecordCoder.register
class Split(NamedTuple):
    """A part of a queue that one worker reads: the offsets from `start` up to, but not including, `stop`."""

    partition: str
    start: int
    stop: int


@RecordCoder.register
class Position(NamedTuple):
    """How far a partition has been read: the offset of the next message."""

    partition: str
    offset: int


class Rejected(NamedTuple):
    """A message that the queue will never accept (too large, unknown topic), and the reason."""

    message: Message
    error: Exception


class Writer(ABC):
    """An open connection for writing, used by one thread."""

    @abstractmethod
    def write(self, messages: Sequence[Message]) -> None:
        """Accepts a batch. May return before the batch is durable."""

    def write_with_ids(self, messages: Sequence[Message]) -> None:
        """Adds an id to each message and writes them. If an id can't be made, raises TypeError or ValueError first."""
        self.write(Message.with_ids(messages))

    @abstractmethod
    def flush(self) -> Sequence[Rejected]:
        """Waits until all messages are durable and returns those that were rejected. Raises QueueError on failure."""

    def close(self) -> None:
        """Closes the connection. Messages that were not flushed may be lost."""
        return


class Queue(ABC):
    """One queue, named by a URI. It connects when it is used, never in the constructor, and can be pickled.

    A kind of queue must implement `splits`, `read` and, unless it is read-only, `writer`; the rest has defaults. The
    package asks a kind what it needs to know, and never looks at the scheme. docs/extending.md explains each question;
    `beam_patterns.testing.queue_contract` tests a kind.
    """

    #: The parameters of the URI, `?name=value`. Their values are in `self.params`.
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    #: Whether the queue stores positions, so that `commit` has an effect.
    keeps_positions: ClassVar[bool] = False
    #: Whether reading needs a group, `?group=name`, under which positions are stored.
    needs_group: ClassVar[bool] = False
    #: Whether offsets count messages, so that `stop - start` of the splits is the backlog.
    counts_messages: ClassVar[bool] = True
    #: Whether the queue holds messages. Otherwise it lists items, such as files to work on.
    holds_messages: ClassVar[bool] = True
    #: Whether the queue can only be read.
    is_readonly: ClassVar[bool] = False
    #: Whether other processes of this machine can reach the queue.
    is_shared: ClassVar[bool] = True
    #: Whether an endless run can write the queue: readers see messages while the run goes on.
    accepts_streams: ClassVar[bool] = True

    def __init__(self, uri: QueueUri) -> None:
        self.uri = uri
        self.params = parse_parameters(self.parameters, uri, self.allows_parameter)

    def __str__(self) -> str:
        return self.uri.text

    @classmethod
    def open(cls, uri: QueueUri) -> "Queue":
        """The queue for a URI: an instance of this class, or of a more specific one."""
        return cls(uri)

    @classmethod
    def allows_parameter(cls, name: str) -> bool:
        """Whether the URI may have a parameter that is not in `parameters`."""
        return False

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """Whether workers on other machines, as on Dataflow, can reach queues with this scheme."""
        return False

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        """The URI of the queue `name` under a prefix, with a group to read it. Raises ValueError if there is none."""
        return f"{prefix}{name}{_group_parameter(prefix, group)}"

    @property
    def group(self) -> str:
        """The group that the URI names. Raises QueueError if it names none."""
        if not self.params.get("group"):
            raise QueueError(
                f"the queue {self} is read without a group; add {_group_parameter(self.uri.text, 'NAME')}, "
                "under which positions are kept"
            )
        return str(self.params["group"])

    @property
    def time_field(self) -> str:
        """The field of a message's JSON that holds its time; empty if the URI names none."""
        return str(self.params.get("time", ""))

    @property
    def can_follow(self) -> bool:
        """Whether `--streaming` can read this queue."""
        return self.follow_transform() is not None

    def check_readable(self) -> None:
        """Raises ValueError if the URI shows that this queue can't be read."""
        if self.needs_group and not self.params.get("group"):
            raise ValueError(
                f"{self.uri.text!r} names no group, under which positions are kept; "
                f"add {_group_parameter(self.uri.text, 'NAME')}"
            )

    def check_writable(self) -> None:
        """Raises ValueError if the URI shows that this queue can't be written."""
        if self.is_readonly:
            raise ValueError(f"the queue {self} can only be read; write to Kafka, SQLite or files")

    def overlaps(self, other: "Queue") -> bool:
        """Whether a message that is written to one of two queues may be read from the other, in any group."""
        mine, theirs = ((q.uri.scheme, q.uri.host, q.uri.path, q.uri.params.get("topic")) for q in (self, other))
        return mine == theirs

    def sibling(self, name: str) -> str | None:
        """The URI of the queue `name` on the same broker or in the same database; None if a name is not enough."""
        return None

    def read_uri(self, group: str) -> str:
        """The URI under which a group reads what is written to this queue."""
        has_group = not self.keeps_positions or "group" in self.uri.params
        return self.uri.text if has_group else f"{self.uri.text}{_group_parameter(self.uri.text, group)}"

    def append_uri(self) -> str:
        """The URI for appending messages to the queue that this URI reads. Raises ValueError if it is unknown."""
        return self.uri.text

    @abstractmethod
    def splits(self) -> Sequence[Split]:
        """What there is to read now, from the group's committed position to the end, without empty splits."""

    @abstractmethod
    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The messages of a split, in order, in batches of some thousand.

        An unreadable part is yielded as UnreadableError if more messages follow it, and raised if none do.
        """

    @contextmanager
    def reading(self) -> Iterator[Callable[[Split], Iterator[list[Message] | UnreadableError]]]:
        """Yields `read` for use on several splits. A kind that connects opens one connection for all of them."""
        yield self.read

    def commit(self, positions: Iterable[Position]) -> None:
        """Moves the group's positions forward. A position before the committed one changes nothing."""
        return

    def lag(self) -> Sequence[Split]:
        """What the group has not read of each partition. Raises QueueError if the kind has no offsets."""
        if not self.keeps_positions or not self.counts_messages:
            raise QueueError(f"the queue {self} has no offsets, so it has no lag; see `beam-patterns queue count`")
        return self.splits()

    def create(self) -> None:
        """Makes sure that the topic exists. By default opens a writer, which creates what it needs, if anything."""
        writer = self.writer()
        writer.flush()
        writer.close()

    def listen(self) -> Iterator[list[Message]]:
        """Yields messages as they arrive, without end or pipeline, and commits them after the caller asks for more."""
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

    def as_stored(self, message: Message) -> Message:
        """The message in the form that `write_transform` stores. Raises ValueError if this queue can't hold it."""
        return message

    def writer(self) -> Writer:
        """A new connection for writing. Every kind must implement this unless it is read-only."""
        self.check_writable()
        raise NotImplementedError(f"{type(self).__name__} has no writer; implement it or set is_readonly = True")

    def with_topics(self, choose: Callable[[Message], str]) -> "Queue":
        """A copy that writes each message to the topic that `choose` returns. Raises ValueError without topics."""
        raise ValueError(f"the queue {self} is written as a whole: topic=... is for kafka://")

    def read_transform(self) -> beam.PTransform | None:
        """A transform PBegin -> (messages, positions) that replaces `splits` and `read`; None to use those."""
        return None

    def follow_transform(self) -> beam.PTransform | None:
        """A transform PBegin -> (endless messages, None) for `--streaming`, which commits by itself; None if none."""
        return None

    def write_transform(self) -> beam.PTransform | None:
        """A transform PCollection[Message] -> PCollection[Written] that replaces `writer`; None to use that."""
        return None


def _group_parameter(uri: str, group: str) -> str:
    return f"{'&' if '?' in uri else '?'}group={group}" if group else ""
