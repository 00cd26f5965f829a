"""Kafka by kafka-python: pure Python, always installed."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.structs import OffsetAndMetadata

from ...base.errors import QueueError
from ...base.message import Message
from .clients import REACH, Address, Bounds, Connection, Partition, Producer, Verdict, unreachable
from .settings import KAFKA_PYTHON_NAMES

__all__ = ["UNREACHED", "Reader", "Sender", "addressed"]

_LOG = logging.getLogger(__name__)
if logging.getLogger("kafka").level == logging.NOTSET:
    # It tells of every lost connection and retry; what matters comes as an error in a sentence.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)

_MILLISECONDS = int(REACH * 1000)
_COMMON = {"bootstrap_timeout_ms": _MILLISECONDS, "reconnect_backoff_max_ms": 1_000, "metrics_enabled": False}
_CONSUMER = {
    **_COMMON,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "max_partition_fetch_bytes": 4_194_304,
    "allow_auto_create_topics": False,
}
_PRODUCER = {
    **_COMMON,
    "enable_idempotence": True,
    "acks": "all",
    "batch_size": 262_144,
    "max_request_size": 100_000_000,  # The broker says what is too large.
}
#: Messages on their way; this library knows no bound of its own.
_UNDERWAY = 100_000
#: What means that no server answers.
UNREACHED = (errors.KafkaTimeoutError, errors.KafkaConnectionError)
_REFUSED = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.TopicAuthorizationFailedError,
    errors.UnknownTopicOrPartitionError,
)


class Reader(Connection):
    """A consumer of one partition at a time."""

    position = 0

    def __init__(self, address: Address) -> None:
        self._address = address
        with self._sentences("connect to"):
            self._consumer = KafkaConsumer(**_CONSUMER, **addressed(address), group_id=address.group)

    def topics(self) -> Mapping[str, list[Partition]]:
        with self._sentences("list the topics of"):
            found = self._consumer.topics()
            numbers = {topic: sorted(self._consumer.partitions_for_topic(topic) or ()) for topic in found}
        return {topic: [Partition(topic, number) for number in several] for topic, several in numbers.items()}

    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        places = [TopicPartition(*p) for p in partitions]
        with self._sentences("get the offsets of"):
            first = self._consumer.beginning_offsets(places, timeout_ms=_MILLISECONDS)
            stop = self._consumer.end_offsets(places, timeout_ms=_MILLISECONDS)
        return {Partition(*place): Bounds(first[place], stop[place]) for place in places}

    def at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        asked = {TopicPartition(*p): int(timestamp * 1000) for p in partitions}
        with self._sentences("get the offsets of"):
            found = self._consumer.offsets_for_times(asked, timeout_ms=_MILLISECONDS)
        return {p: found[p].offset if found.get(p) else None for p in partitions}

    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        with self._sentences("get the positions of"):
            ask = self._consumer.committed
            return {p: ask(TopicPartition(*p), timeout_ms=_MILLISECONDS) for p in partitions}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        places = {TopicPartition(*p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        with self._sentences("commit the positions of"):
            self._consumer.commit(places, timeout_ms=_MILLISECONDS)

    def seek(self, partition: Partition, offset: int) -> None:
        self._place, self.position = TopicPartition(*partition), offset
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, offset)

    def poll(self, most: int, seconds: float) -> list[Message]:
        with self._sentences("read"):
            records = self._consumer.poll(int(seconds * 1000), max_records=most).get(self._place, [])
            # Known at once, unless an offset is being looked up: then it stays.
            self.position = self._consumer.position(self._place, timeout_ms=_MILLISECONDS) or self.position
        return [_message(record) for record in records]

    def close(self) -> None:
        self._consumer.close(autocommit=False)

    @contextmanager
    def _sentences(self, doing: str) -> Iterator[None]:
        try:
            yield
        except UNREACHED as error:
            raise unreachable(self._address, error) from None
        except errors.KafkaError as error:
            where = f"the queue {self._address.uri} at {self._address.servers} as group {self._address.group!r}"
            raise QueueError(f"can't {doing} {where}: {_said(error)}") from None


def addressed(address: Address) -> dict[str, Any]:
    """Servers and security settings, under this library's names."""
    named = {KAFKA_PYTHON_NAMES[name]: value for name, value in address.settings.items()}
    return {"bootstrap_servers": address.servers.split(","), **named}


def _message(record: Any) -> Message:
    attributes = tuple((name, value or b"") for name, value in record.headers)
    source = (record.topic, record.partition, record.offset)
    stamp = record.timestamp
    return Message(record.value, record.key, attributes, None if stamp < 0 else stamp / 1000, source)


class Sender(Producer):
    """An idempotent producer."""

    def __init__(self, address: Address, topic: str, compression: str, linger: int) -> None:
        super().__init__(address, topic)
        codec = None if compression == "none" else compression
        bound = address.patience * 1000
        bounds = {"delivery_timeout_ms": bound, "max_block_ms": bound, "request_timeout_ms": min(30_000, bound // 2)}
        names = {"compression_type": codec, "linger_ms": min(linger, bound // 4)}
        self._config = {**_PRODUCER, **addressed(address), **bounds, **names}
        self._underway: deque[tuple[Message, Any]] = deque()
        self._open()

    def _open(self) -> None:
        try:
            self._producer = KafkaProducer(**self._config)
        except UNREACHED as error:
            raise unreachable(self._address, error) from None
        self._broken = False

    def write(self, messages: Sequence[Message]) -> None:
        if self._broken:
            self.drain()
        for message in messages:
            value, key, attributes, stamp, _ = message
            milliseconds = None if stamp is None else int(stamp * 1000 + 0.5)
            try:
                sent = self._producer.send(self._topic, value, key, list(attributes), timestamp_ms=milliseconds)
                self._underway.append((message, sent))
            except (errors.KafkaError, ValueError) as error:
                self._failed.append((message, error))
        self._settle(_UNDERWAY)

    def drain(self) -> None:
        try:
            self._producer.flush(timeout=self._address.patience + 10)
        except errors.UnknownError:  # A batch was split because it was too large: flush loses track, its futures don't.
            _LOG.debug("a batch was split")
        except errors.KafkaTimeoutError as error:
            raise unreachable(self._address, error) from None
        self._settle(0)
        if self._broken:  # A refusal is fatal to this client's idempotent producer.
            self.close()
            self._open()

    def judge(self, error: Any) -> Verdict:
        if isinstance(error, ValueError):  # Raised before sending: no key and no value.
            return Verdict.REFUSED
        # The plain KafkaError is what the innocent in a batch with an invalid record get.
        return Verdict.SPOILT if isinstance(error, _REFUSED) or type(error) is errors.KafkaError else Verdict.LOST

    def said(self, error: Any) -> str:
        return _said(error)

    def close(self) -> None:
        with suppress(errors.KafkaError):  # What was not flushed is given up.
            self._producer.close(timeout=0)

    def _settle(self, most: int) -> None:
        """Looks at what has been answered, and waits until no more than that many messages are on their way."""
        underway = self._underway
        while underway and (len(underway) > most or underway[0][1].is_done):
            message, sent = underway.popleft()
            try:
                sent.get(timeout=self._address.patience + 10)
            except errors.KafkaError as error:
                self._failed.append((message, error))
                self._broken = True


def _said(error: Exception) -> str:
    return f"{getattr(error, 'description', '') or error} ({type(error).__name__})"
