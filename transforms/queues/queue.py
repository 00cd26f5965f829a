"""What a kind of queue must offer. Everything else in the package knows only this."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import apache_beam as beam

from ..base.coders import RecordCoder
from ..base.errors import QueueError, UnreadableError
from ..base.message import Message
from .uri import QueueUri

__all__ = ["Position", "Queue", "Rejected", "Split", "Writer"]

#: Seconds between two looks at a queue that has nothing new.
_POLL = 0.5


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
