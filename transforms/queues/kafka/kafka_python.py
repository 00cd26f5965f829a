"""Kafka with kafka-python, which is pure Python and always installed."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.structs import OffsetAndMetadata

from ...base.errors import QueueError
from ...base.message import Message
from .clients import TIMEOUT, Address, Bounds, Connection, DeliveryVerdict, Partition, Producer, unreachable
from .settings import KAFKA_PYTHON_NAMES

__all__ = ["Reader", "Sender", "client_config", "queue_errors"]

_LOG = logging.getLogger(__name__)
if logging.getLogger("kafka").level == logging.NOTSET:
    # It logs every lost connection and retry. What matters is raised as an error.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)

_MILLISECONDS = int(TIMEOUT * 1000)
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
    "max_request_size": 100_000_000,  # The broker decides what is too large.
}
#: Largest number of undelivered messages; the library itself has no limit.
_PENDING = 100_000
#: Errors that mean that no server answers.
_UNREACHABLE = (errors.KafkaTimeoutError, errors.KafkaConnectionError)
_REJECTED = (
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
        with queue_errors(self._address, "connect to"):
            self._consumer = KafkaConsumer(**_CONSUMER, **client_config(address), group_id=address.group)

    def topics(self) -> Mapping[str, list[Partition]]:
        with queue_errors(self._address, "list the topics of"):
            found = self._consumer.topics()
            numbers = {topic: sorted(self._consumer.partitions_for_topic(topic) or ()) for topic in found}
        return {topic: [Partition(topic, number) for number in several] for topic, several in numbers.items()}

    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        places = [TopicPartition(*p) for p in partitions]
        with queue_errors(self._address, "get the offsets of"):
            first = self._consumer.beginning_offsets(places, timeout_ms=_MILLISECONDS)
            stop = self._consumer.end_offsets(places, timeout_ms=_MILLISECONDS)
        return {Partition(*place): Bounds(first[place], stop[place]) for place in places}

    def offsets_at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        times = {TopicPartition(*p): int(timestamp * 1000) for p in partitions}
        with queue_errors(self._address, "get the offsets of"):
            found = self._consumer.offsets_for_times(times, timeout_ms=_MILLISECONDS)
        return {p: found[p].offset if found.get(p) else None for p in partitions}

    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        with queue_errors(self._address, "get the positions of"):
            committed = self._consumer.committed
            return {p: committed(TopicPartition(*p), timeout_ms=_MILLISECONDS) for p in partitions}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        places = {TopicPartition(*p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        with queue_errors(self._address, "commit the positions of"):
            self._consumer.commit(places, timeout_ms=_MILLISECONDS)

    def seek(self, partition: Partition, offset: int) -> None:
        self._place, self.position = TopicPartition(*partition), offset
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, offset)

    def poll(self, most: int, seconds: float) -> list[Message]:
        with queue_errors(self._address, "read"):
            records = self._consumer.poll(int(seconds * 1000), max_records=most).get(self._place, [])
            # The position is known, unless the client is looking up an offset: then it does not change.
            self.position = self._consumer.position(self._place, timeout_ms=_MILLISECONDS) or self.position
        return [_message(record) for record in records]

    def close(self) -> None:
        self._consumer.close(autocommit=False)


@contextmanager
def queue_errors(address: Address, action: str) -> Iterator[None]:
    """Turns this library's errors into a QueueError of one sentence."""
    try:
        yield
    except _UNREACHABLE as error:
        raise unreachable(address, error) from None
    except errors.KafkaError as error:
        group = f" as group {address.group!r}" if address.group else ""
        raise QueueError(
            f"can't {action} the queue {address.uri} at {address.servers}{group}: {describe(error)}"
        ) from None


def describe(error: Exception) -> str:
    """The error as text."""
    return f"{getattr(error, 'description', '') or error} ({type(error).__name__})"


def client_config(address: Address) -> dict[str, Any]:
    """Servers and security settings under this library's names."""
    named = {KAFKA_PYTHON_NAMES[name]: value for name, value in address.settings.items()}
    return {"bootstrap_servers": address.servers.split(","), **named}


def _message(record: Any) -> Message:
    attributes = tuple((name, value or b"") for name, value in record.headers)
    source = (record.topic, record.partition, record.offset)
    timestamp = None if record.timestamp < 0 else record.timestamp / 1000
    return Message(record.value, record.key, attributes, timestamp, source)


class Sender(Producer):
    """An idempotent producer."""

    def __init__(self, address: Address, topic: str, compression: str, linger: int) -> None:
        super().__init__(address, topic)
        codec = None if compression == "none" else compression
        limit = address.patience * 1000
        limits = {"delivery_timeout_ms": limit, "max_block_ms": limit, "request_timeout_ms": min(30_000, limit // 2)}
        batching = {"compression_type": codec, "linger_ms": min(linger, limit // 4)}
        self._config = {**_PRODUCER, **client_config(address), **limits, **batching}
        self._pending: deque[tuple[Message, Any]] = deque()
        self._open()

    def _open(self) -> None:
        with queue_errors(self._address, "write to"):
            self._producer = KafkaProducer(**self._config)
        self._broken = False

    def write(self, messages: Sequence[Message]) -> None:
        if self._broken:
            self.await_deliveries()
        for message in messages:
            value, key, attributes, timestamp, _ = message
            milliseconds = None if timestamp is None else int(timestamp * 1000 + 0.5)
            try:
                future = self._producer.send(self._topic, value, key, list(attributes), timestamp_ms=milliseconds)
                self._pending.append((message, future))
            except (errors.KafkaError, ValueError) as error:
                self._failed.append((message, error))
        self._collect(_PENDING)

    def await_deliveries(self) -> None:
        try:
            self._producer.flush(timeout=self._address.patience + 10)
        except errors.UnknownError:  # A batch was too large and was split: flush does not know, but its futures do.
            _LOG.debug("a batch was split")
        except errors.KafkaTimeoutError as error:
            raise unreachable(self._address, error) from None
        self._collect(0)
        if self._broken:  # After a rejection this client's idempotent producer can't be used any more.
            self.close()
            self._open()

    def verdict(self, error: Any) -> DeliveryVerdict:
        if isinstance(error, ValueError):  # Raised before sending: no key and no value.
            return DeliveryVerdict.REJECTED
        # In a batch with an invalid record, the valid records fail with a plain KafkaError.
        if isinstance(error, _REJECTED) or type(error) is errors.KafkaError:
            return DeliveryVerdict.BATCH_REJECTED
        return DeliveryVerdict.UNDELIVERED

    def describe(self, error: Any) -> str:
        return describe(error)

    def close(self) -> None:
        with suppress(errors.KafkaError):  # Messages that were not flushed are dropped.
            self._producer.close(timeout=0)

    def _collect(self, most: int) -> None:
        """Collects the failures of finished deliveries. Waits until at most `most` messages are undelivered."""
        pending = self._pending
        while pending and (len(pending) > most or pending[0][1].is_done):
            message, future = pending.popleft()
            try:
                future.get(timeout=self._address.patience + 10)
            except errors.KafkaError as error:
                self._failed.append((message, error))
                self._broken = True
