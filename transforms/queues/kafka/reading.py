"""The reading half of a Kafka queue: offsets, batches and commits of a group."""

import difflib
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial

from tenacity import Retrying, retry_if_exception_type, stop_after_delay

from ...base.errors import QueueError
from ...base.message import Message
from ..queue import Position, Queue, Split
from ..uri import QueueUri
from .clients import Address, Bounds, Connection, NoTopicError, Partition, UnreachableError, client
from .settings import settings

__all__ = ["TopicsReader"]

_LOG = logging.getLogger(__name__)
_BATCH = 4096
#: Seconds until all brokers know a topic that was just created, or a broker that was just started.
_PROPAGATION = 2.0


class TopicsReader(Queue):
    """Reads topics as a group, without joining it."""

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        self.topics = uri.path.removeprefix("/").split(",")
        self.patience = self.params["patience"]

    def splits(self) -> list[Split]:
        """From the group's position to the end offsets, a split per partition."""
        with closing(self.connect()) as kafka:
            partitions = self.partitions(kafka, self.topics)
            bounds = kafka.bounds(partitions)
            starts = self._starts(kafka, bounds, self.params["start"])
            splits = [Split(str(partition), starts[partition], bounds[partition].stop) for partition in partitions]
            return [split for split in splits if split.start < split.stop]

    def new_partitions(self, topic: str, known: int) -> dict[Partition, int]:
        """Partitions from number `known` on, with the offset to start at. Partitions added later are read whole."""
        with closing(self.connect()) as kafka:
            partitions = [p for p in self.partitions(kafka, [topic]) if p.number >= known]
            if not partitions:
                return {}
            return self._starts(kafka, kafka.bounds(partitions), "earliest" if known else self.params["start"])

    def read(self, split: Split) -> Iterator[list[Message]]:
        """A partition's messages before `stop`. Offsets may have gaps, even at the end."""
        with self.reading() as read:
            yield from read(split)

    @contextmanager
    def reading(self) -> Iterator[Callable[[Split], Iterator[list[Message]]]]:
        with closing(self._retrying()(self.connect)) as kafka:
            yield partial(self._read, kafka)

    def _read(self, kafka: Connection, split: Split) -> Iterator[list[Message]]:
        partition = Partition.parse(split.partition)
        with _FROZEN_HEAP:
            kafka.seek(partition, split.start)
            while kafka.position < split.stop:
                messages = self._next(kafka, partition, split.stop)
                while messages and messages[-1].source[2] >= split.stop:  # type: ignore[index,misc]
                    messages.pop()
                if messages:
                    yield messages

    def _next(self, kafka: Connection, partition: Partition, stop: int) -> list[Message]:
        deadline, before = time.monotonic() + self.patience, kafka.position
        while kafka.position == before:
            messages = kafka.poll(min(_BATCH, stop - before), 0.1)
            if messages:
                return messages
            if time.monotonic() > deadline:
                raise QueueError(
                    f"no answer from Kafka at {self.uri.host} for {self.patience} s, while offsets {before} to "
                    f"{stop - 1} of {partition} remain to be read; check that all brokers are up (queue {self})"
                )
        return []

    def commit(self, positions: Iterable[Position]) -> None:
        offsets = {Partition.parse(position.partition): position.offset for position in positions}
        if offsets:
            self._retrying()(self._commit, offsets)

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        with closing(self.connect()) as kafka:
            committed = kafka.committed(list(offsets))
            forward = {p: offset for p, offset in offsets.items() if offset > (committed[p] or 0)}
            if forward:
                kafka.commit(forward)

    def _retrying(self) -> Retrying:
        """Retries while no server answers. They answered when the run started, so they may come back."""
        stop = stop_after_delay(self.patience)
        return Retrying(retry=retry_if_exception_type(UnreachableError), stop=stop, reraise=True)

    def connect(self) -> Connection:
        """A new connection, which reads and commits for the group."""
        return client().Reader(self.address(self.group))

    def address(self, group: str) -> Address:
        return Address(str(self), self.uri.host, group, settings(self.uri), self.patience)

    def partitions(self, kafka: Connection, topics: list[str]) -> list[Partition]:
        """All partitions of the topics. Raises NoTopicError if a topic is missing."""
        found = kafka.topics()
        deadline = time.monotonic() + _PROPAGATION
        while not all(found.get(topic) for topic in topics) and time.monotonic() < deadline:
            time.sleep(0.2)
            found = kafka.topics()
        for topic in topics:
            if not found.get(topic):
                near = difflib.get_close_matches(topic, found, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise NoTopicError(
                    f"Kafka at {self.uri.host} has no topic {topic!r}, or hides it from this user{hint}; "
                    f"create the topic or correct the queue {self}"
                )
        return [partition for topic in topics for partition in found[topic]]

    def _starts(
        self, kafka: Connection, bounds: Mapping[Partition, Bounds], start: str | float
    ) -> dict[Partition, int]:
        committed = kafka.committed(list(bounds))
        starts = {partition: first for partition, (first, _) in bounds.items()}
        uncommitted = [partition for partition, offset in committed.items() if offset is None]
        if start == "latest":
            starts |= {partition: bounds[partition].stop for partition in uncommitted}
        elif not isinstance(start, str) and uncommitted:
            found = kafka.offsets_at(uncommitted, start)
            starts |= {p: bounds[p].stop if offset is None else offset for p, offset in found.items()}
        return starts | {
            p: self._checked(p, offset, *bounds[p]) for p, offset in committed.items() if offset is not None
        }

    def _checked(self, partition: Partition, committed: int, first: int, stop: int) -> int:
        if committed > stop:
            raise QueueError(
                f"the group {self.group!r} has committed offset {committed} of {partition}, which ends at {stop}: the "
                f"topic was deleted and created again at {self.uri.host}; read it with a new group in the queue {self}"
            )
        if committed < first:
            _LOG.warning(
                "%s: retention has deleted the offsets %d to %d of %s before group %r had read them",
                self, committed, first - 1, partition, self.group,
            )  # fmt: skip
        return max(committed, first)


class _FrozenHeap:
    """Keeps the garbage collector from searching millions of short-lived messages and all other objects repeatedly.

    Messages are never part of a cycle. Cycles of other code are still found, though less often, during a read.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._thresholds = gc.get_threshold()
                gc.set_threshold(max(self._thresholds[0], 20 * _BATCH), *self._thresholds[1:])
                gc.freeze()

    def __exit__(self, *unused_error: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                gc.set_threshold(*self._thresholds)
                gc.unfreeze()


_FROZEN_HEAP = _FrozenHeap()
