"""kafka://host:port/topic?group=name: topics of a Kafka cluster."""

import copy
import difflib
import gc
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode

from ...base.errors import QueueError
from ...base.message import Message
from ..parameters import Parameter, one_of, whole_number
from ..queue import Position, Queue, Split, Writer
from ..uri import QueueUri
from .clients import Address, Bounds, Connection, NoTopicError, Partition, UnreachableError, client
from .create import Wanted, create
from .follow import FollowTopics
from .settings import settings
from .topics import TopicsWriter

__all__ = ["KafkaQueue"]

_LOG = logging.getLogger(__name__)
_BATCH = 4096
_HEARSAY = 2.0  # Seconds in which a topic just created, or a broker just started, becomes known to all brokers.
T = TypeVar("T")


def _start(text: str) -> str | float:
    if text in ("earliest", "latest"):
        return text
    try:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
    except ValueError:
        raise ValueError("write earliest, latest, or a time such as 2026-01-31T00:00:00Z") from None


_PARAMETERS = (
    Parameter(
        "group", "The consumer group, whose committed offsets are where the next run starts; needed for reading."
    ),
    Parameter(
        "start", "Where a group without offsets begins: earliest, latest, or a time.", default="earliest", type=_start
    ),
    Parameter("settings", "A file with security settings; default: the one that BEAM_PATTERNS_KAFKA_SETTINGS names."),
    Parameter("compression", "Compression of written batches.", "lz4", one_of("lz4", "zstd", "snappy", "gzip", "none")),
    Parameter(
        "linger",
        "Milliseconds to wait for more messages before a batch is sent.",
        default=50,
        type=whole_number("milliseconds", "linger=50"),
    ),
    Parameter(
        "patience",
        "Seconds for which a run waits for brokers that went away.",
        default=120,
        type=whole_number("seconds, 5 or more", "patience=120", least=5),
    ),
    Parameter(
        "partitions",
        "For `queue create`: number of partitions; default: the broker's.",
        default=-1,
        type=whole_number("a number", "partitions=3", least=1),
    ),
    Parameter(
        "replication",
        "For `queue create`: number of replicas; default: the broker's.",
        default=-1,
        type=whole_number("a number", "replication=3", least=1),
    ),
    Parameter("time", "The field of a message's JSON that holds its time; default: the record's own time."),
)


class KafkaQueue(Queue):
    """Topics of a Kafka cluster: `kafka://a:9092,b:9092/orders,returns?group=shipping`.

    For `queue create` the URI may also have settings of the topic, such as `retention.ms`: their names have a dot.
    """

    parameters = _PARAMETERS
    keeps_positions = True
    needs_group = True
    _choose: Callable[[Message], str] | None = None

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        self._servers = _servers(uri)
        self._topics = _topics(uri)
        self._group = self.params["group"]
        self.patience = self.params["patience"]
        config = {name: value for name, value in uri.params.items() if self.allows(name)}
        self._wanted = Wanted(self.params["partitions"], self.params["replication"], config)

    @classmethod
    def allows(cls, name: str) -> bool:
        """Settings of a topic, for `create`: their names have a dot."""
        return "." in name

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """A cluster can be reached from other machines."""
        return True

    def overlaps(self, other: Queue) -> bool:
        """Whether a topic and a server are named by both."""
        mine, theirs = ((q.uri.host.split(","), q.uri.path.strip("/").split(",")) for q in (self, other))
        return all(not set(a).isdisjoint(b) for a, b in zip(mine, theirs, strict=True))

    def sibling(self, name: str) -> str:
        """Another topic of this cluster."""
        rest = urlencode({"settings": self.params["settings"]}) if self.params["settings"] else ""
        return f"kafka://{self.uri.host}/{quote(name, safe='{}')}{'?' if rest else ''}{rest}"

    def check_writable(self) -> None:
        """One topic."""
        if self._choose is None and len(self._topics) != 1:
            raise ValueError(f"the queue {self} names {len(self._topics)} topics; writing needs exactly one")

    @property
    def topics(self) -> list[str]:
        """Their names."""
        return self._topics

    def splits(self) -> list[Split]:
        """From the group's position to the end offsets, a split per partition."""
        with self.connect() as kafka:
            partitions = self.partitions(kafka)
            bounds = kafka.bounds(partitions)
            starts = self._starts(kafka, bounds, self.params["start"])
            splits = [Split(str(partition), starts[partition], bounds[partition].stop) for partition in partitions]
            return [split for split in splits if split.start < split.stop]

    def beginnings(self, topic: str, known: int) -> dict[Partition, int]:
        """Where a topic's partitions begin, without those known: what comes later than the reader is read whole."""
        with self.connect() as kafka:
            partitions = [p for p in self._partitions(kafka, [topic]) if p.number >= known]
            return (
                self._starts(kafka, kafka.bounds(partitions), "earliest" if known else self.params["start"])
                if partitions
                else {}
            )

    def partitions(self, kafka: Connection) -> list[Partition]:
        """Those of all topics."""
        return self._partitions(kafka, self._topics)

    def follow_transform(self) -> FollowTopics:
        """The continuous form."""
        return FollowTopics(self)

    def read(self, split: Split) -> Iterator[list[Message]]:
        """A partition's messages below the stop; offsets may have gaps, at the end too."""
        with self.reading() as read:
            yield from read(split)

    @contextmanager
    def reading(self) -> Iterator[Callable[[Split], Iterator[list[Message]]]]:
        """Over one connection."""
        with self._patiently(self.connect) as kafka:
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

    def commit(self, positions: Iterable[Position]) -> None:
        """The group starts there next time."""
        wanted = {Partition.parse(position.partition): position.offset for position in positions}
        if wanted:
            self._patiently(lambda: self._commit(wanted))

    def _commit(self, wanted: Mapping[Partition, int]) -> None:
        with self.connect() as kafka:
            committed = kafka.committed(list(wanted))
            forward = {p: offset for p, offset in wanted.items() if offset > (committed[p] or 0)}
            if forward:
                kafka.commit(forward)

    def _patiently(self, work: Callable[[], T]) -> T:
        """In a run under way the servers were there, and may come back."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return work()
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise

    def with_topics(self, choose: Callable[[Message], str]) -> "KafkaQueue":
        """Written to the topics that a function of the message names."""
        changed = copy.copy(self)
        changed._choose = choose
        return changed

    def writer(self) -> Writer:
        """An idempotent producer that waits for all replicas; one for each topic, if messages choose theirs."""
        if self._choose is not None:
            return TopicsWriter(self._choose, self._topic_writer)
        self.check_writable()
        return self._topic_writer(self._topics[0])

    def _topic_writer(self, topic: str) -> Writer:
        address = self._address(self._group or "beam-patterns")  # Writing needs no group, but connecting a name.
        with client().connect(address) as kafka:
            self._partitions(kafka, [_possible(self.uri, topic)])  # A producer would create a missing topic silently.
        return client().write(address, topic, self.params["compression"], self.params["linger"])

    def create(self) -> None:
        """Makes the topics, as the URI says or as the broker usually does."""
        create(self._address(self._group), self._topics, self._wanted)

    def connect(self) -> Connection:
        """A new connection, which reads and commits for the group."""
        if not self._group:
            raise QueueError(
                f"the queue {self} is read without a group; add ?group=NAME, under which positions are kept"
            )
        return client().connect(self._address(self._group))

    def _address(self, group: str) -> Address:
        return Address(str(self), self._servers, group, settings(self.uri), self.patience)

    def _partitions(self, kafka: Connection, topics: list[str]) -> list[Partition]:
        found = kafka.topics()
        deadline = time.monotonic() + _HEARSAY
        while not all(found.get(topic) for topic in topics) and time.monotonic() < deadline:
            time.sleep(0.2)
            found = kafka.topics()
        for topic in topics:
            if not found.get(topic):
                near = difflib.get_close_matches(topic, found, 1)
                hint = f" (is it {near[0]!r}?)" if near else ""
                raise NoTopicError(
                    f"Kafka at {self._servers} has no topic {topic!r}, or hides it from this user{hint}; "
                    f"create the topic or correct the queue {self}"
                )
        return [partition for topic in topics for partition in found[topic]]

    def _starts(
        self, kafka: Connection, bounds: Mapping[Partition, Bounds], start: str | float
    ) -> dict[Partition, int]:
        committed = kafka.committed(list(bounds))
        begin = {partition: first for partition, (first, _) in bounds.items()}
        fresh = [partition for partition, offset in committed.items() if offset is None]
        if start == "latest":
            begin |= {partition: bounds[partition].stop for partition in fresh}
        elif not isinstance(start, str) and fresh:
            begin |= {p: bounds[p].stop if at is None else at for p, at in kafka.at(fresh, start).items()}
        standing = {p: self._standing(p, offset, *bounds[p]) for p, offset in committed.items() if offset is not None}
        return begin | standing

    def _standing(self, partition: Partition, start: int, first: int, stop: int) -> int:
        if start > stop:
            raise QueueError(
                f"the group {self._group!r} stands at offset {start} of {partition}, behind its end {stop}: the topic "
                f"was created anew at {self._servers}; read it with a new group in the queue {self}"
            )
        if start < first:
            _LOG.warning(
                "%s: the offsets %d to %d of %s were deleted by retention before group %r had read them",
                self, start, first - 1, partition, self._group,
            )  # fmt: skip
        return max(start, first)

    def _next(self, kafka: Connection, partition: Partition, stop: int) -> list[Message]:
        deadline, before = time.monotonic() + self.patience, kafka.position
        while kafka.position == before:
            messages = kafka.poll(min(_BATCH, stop - before), 0.1)
            if messages:
                return messages
            if time.monotonic() > deadline:
                raise QueueError(
                    f"no answer from Kafka at {self._servers} for {self.patience} s, while {partition} has offsets "
                    f"{before} to {stop - 1} still to be read; are all its brokers up? (queue {self})"
                )
        return []


class _FrozenHeap:
    """Messages come and go by the million: the garbage collector would search them and all else again and again.

    None is part of a cycle. Cycles of other code are still found, though less often, while anybody reads.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._usual = gc.get_threshold()
                gc.set_threshold(max(self._usual[0], 20 * _BATCH), *self._usual[1:])
                gc.freeze()

    def __exit__(self, *unused_error: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                gc.set_threshold(*self._usual)
                gc.unfreeze()


_FROZEN_HEAP = _FrozenHeap()


def _servers(uri: QueueUri) -> str:
    for server in uri.host.split(","):
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):\d{1,5}", server):
            raise ValueError(
                f"the queue {uri.text} names the server {server!r}; write host:port, such as localhost:9092"
            )
    return uri.host


def _topics(uri: QueueUri) -> list[str]:
    return [_possible(uri, topic) for topic in uri.path.removeprefix("/").split(",")]


def _possible(uri: QueueUri, topic: object) -> str:
    if not isinstance(topic, str) or not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", topic):
        raise ValueError(
            f"the queue {uri.text} names the topic {topic!r}; write kafka://host:port/topic, with letters, digits, "
            "dots, hyphens and underscores"
        )
    return topic
