"""Kinds of queue that each break one law: copies of memory:// with a bug."""

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from beam_patterns.transforms.queues import Message, Parameter, Position, Queue, Rejected, Split, Writer
from beam_patterns.transforms.queues.memory import MemoryQueue


class Unpicklable(MemoryQueue):
    """Opens a connection in the constructor."""

    def __init__(self, uri: Any) -> None:
        super().__init__(uri)
        self.connection = threading.Lock()


class Unchecked(MemoryQueue):
    """Needs a group and does not check that the URI names one."""

    parameters = (Parameter("group", "The group."),)
    needs_group = True

    def check_readable(self) -> None:
        return


class Overlapping(MemoryQueue):
    """Treats every queue as the same."""

    def overlaps(self, other: Queue) -> bool:
        return True


class _Writer(Writer):
    def __init__(self, inner: Writer, lose: str) -> None:
        self._inner, self._lose = inner, lose

    def write(self, messages: Sequence[Message]) -> None:
        if self._lose == "message":
            messages = messages[1:]
        self._inner.write([message._replace(key=None) if self._lose == "key" else message for message in messages])

    def flush(self) -> Sequence[Rejected]:
        return self._inner.flush()


class LosingKeys(MemoryQueue):
    """Does not store keys."""

    def writer(self) -> Writer:
        return _Writer(super().writer(), "key")


class LosingMessages(MemoryQueue):
    """Loses the first message of each batch."""

    def writer(self) -> Writer:
        return _Writer(super().writer(), "message")


class Unbounded(MemoryQueue):
    """Reads to the current end, not to the end of the split."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        return super().read(split._replace(stop=max(s.stop for s in self.splits())))


class Unordered(MemoryQueue):
    """Reads backward."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        for batch in super().read(split):
            yield batch[::-1]


class Sourceless(MemoryQueue):
    """Does not tell where a message was read."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        for batch in super().read(split):
            yield [message._replace(source=None) for message in batch]


class Destructive(MemoryQueue):
    """Commits what it reads."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        yield from super().read(split)
        self.commit([Position(split.partition, split.stop)])


class Renaming(MemoryQueue):
    """Reads a message from another source each time."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        name = f"consumer-{random.random()}"
        for batch in super().read(split):
            yield [message._replace(source=(name, *message.source[1:])) for message in batch]


class Uncommitted(MemoryQueue):
    """Ignores commits."""

    def commit(self, positions: Iterable[Position]) -> None:
        return


class Backward(MemoryQueue):
    """Moves a position backward, to the last commit."""

    positions: dict[tuple[str, str], int] = {}  # noqa: RUF012

    def splits(self) -> list[Split]:
        splits = MemoryQueue.splits(self)
        start = self.positions.get((self.uri.host, self.group), 0)
        return [split._replace(start=start) for split in splits if start < split.stop]

    def commit(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self.positions[self.uri.host, self.group] = position.offset


class Rejecting(MemoryQueue):
    """Drops a rejected message instead of returning it from flush."""

    def writer(self) -> Writer:
        return _RejectingWriter(super().writer())


class _RejectingWriter(Writer):
    def __init__(self, inner: Writer) -> None:
        self._inner = inner

    def write(self, messages: Sequence[Message]) -> None:
        self._inner.write([message for message in messages if message.value != b"bad"])

    def flush(self) -> Sequence[Rejected]:
        return self._inner.flush()


class Stopping(MemoryQueue):
    """Drops the messages after an unreadable one without an error."""

    def read(self, split: Split) -> Iterator[list[Message]]:
        for batch in super().read(split):
            values = [message.value for message in batch]
            yield batch[: values.index(b"damage")] if b"damage" in values else batch
