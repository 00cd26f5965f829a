"""Kafka with confluent-kafka (librdkafka), the faster client. C functions convert records, a batch at a time."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from operator import itemgetter, length_hint
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record
from confluent_kafka import Producer as Librdkafka
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from ...base.errors import QueueError
from ...base.message import MESSAGE_ID, Message
from .clients import TIMEOUT, Address, Bounds, Connection, DeliveryVerdict, Failure, Partition, Producer, unreachable
from .probe import await_name

__all__ = ["Reader", "Sender"]

_COMMON = {
    "reconnect.backoff.ms": 20,  # Even the first connection waits for about half of this time.
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 0,
}
#: Without a large prefetch librdkafka reads at a third of the speed.
_CONSUMER = {
    **_COMMON,
    "enable.auto.commit": False,
    "enable.partition.eof": True,  # Reports the position after a gap at the end.
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 8_192,
    "fetch.queue.backoff.ms": 10,
    "fetch.message.max.bytes": 1_048_576,
}
_PRODUCER = {
    **_COMMON,
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",  # As in Kafka's own client; librdkafka's default is another.
    "delivery.report.only.error": True,
    "message.max.bytes": 100_000_000,  # The broker decides what is too large.
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 65_536,
}
_UNREACHABLE = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
_NO_COORDINATOR = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
_BATCH_REJECTED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError._INVALID_DIFFERENT_RECORD}
_REJECTED = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_TIMESTAMP,
}


class Reader(Connection):
    """A consumer of one partition at a time."""

    position = 0

    def __init__(self, address: Address) -> None:
        self._address = address
        self._errors = ClientErrors()
        if not await_name(address.servers.split(","), TIMEOUT):  # Without it librdkafka would take seconds to close.
            raise unreachable(address, "no host name resolves")
        names = {"bootstrap.servers": address.servers, "group.id": address.group, "error_cb": self._errors}
        self._settings = {**_CONSUMER, **address.settings, **names}
        self._consumer = Consumer(self._settings)

    def topics(self) -> Mapping[str, list[Partition]]:
        with self._queue_errors("list the topics of"):
            found = self._consumer.list_topics(timeout=TIMEOUT).topics
        return {name: [Partition(name, number) for number in sorted(topic.partitions)] for name, topic in found.items()}

    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        with self._queue_errors("get the offsets of"):
            bounds = self._consumer.get_watermark_offsets
            return {p: Bounds(*bounds(TopicPartition(*p), timeout=TIMEOUT)) for p in partitions}

    def offsets_at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        times = [TopicPartition(*p, int(timestamp * 1000)) for p in partitions]
        with self._queue_errors("get the offsets of"):
            return _offsets(self._consumer.offsets_for_times(times, timeout=TIMEOUT))

    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        places = [TopicPartition(*p) for p in partitions]
        with self._queue_errors("get the positions of"):
            return _until_coordinated()(lambda: _offsets(self._consumer.committed(places, timeout=TIMEOUT)))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        places = [TopicPartition(*p, offset) for p, offset in offsets.items()]
        with self._queue_errors("commit the positions of"):
            _until_coordinated()(lambda: _offsets(self._consumer.commit(offsets=places, asynchronous=False)))

    def seek(self, partition: Partition, offset: int) -> None:
        if self._consumer.assignment():  # The next fetch would wait half a second for the pending one.
            self._consumer.close()
            self._consumer = Consumer(self._settings)
        self._partition, self.position = partition, offset
        self._consumer.assign([TopicPartition(*partition, offset)])

    def poll(self, most: int, seconds: float) -> list[Message]:
        records = self._consumer.consume(most, seconds)
        if not records:
            return []
        self.position = records[-1].offset() + 1
        timestamps = _timestamps(records)
        if None in timestamps and any(map(Record.error, records)):  # Events have no time.
            records = self._without_events(records)
            timestamps = _timestamps(records)
        return _messages(self._partition, records, timestamps)

    def close(self) -> None:
        self._consumer.close()

    def _without_events(self, records: list[Any]) -> list[Any]:
        """The records alone. Events have an error; the usual event is the end of the partition."""
        last = records[-1].error()
        if last is not None and last.code() == KafkaError._PARTITION_EOF:
            self.position -= 1  # The event has the offset to read next.
        for record in records:
            error = record.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                raise self._error("read", error)
        return [record for record in records if record.error() is None]

    @contextmanager
    def _queue_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._consumer.poll(0)  # Calls `error_cb` for errors that are waiting.
            raise self._error(action, error.args[0]) from None

    def _error(self, action: str, error: Any) -> QueueError:
        if error.code() in _UNREACHABLE:
            return unreachable(self._address, (self._errors.last or error).str())
        return QueueError(
            f"can't {action} the queue {self._address.uri} at {self._address.servers} as group "
            f"{self._address.group!r}: {error.str()} ({error.name()})"
        )


class ClientErrors:
    """An `error_cb` that keeps librdkafka's last global error: the reason why a server can't be reached."""

    last: Any = None

    def __call__(self, error: Any) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error


def _until_coordinated() -> Retrying:
    """Retries while a new cluster is electing the group's coordinator; librdkafka itself does not retry."""
    return Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, KafkaException) and e.args[0].code() in _NO_COORDINATOR),
        stop=stop_after_delay(TIMEOUT),
        wait=wait_fixed(0.2),
        reraise=True,
    )


def _offsets(places: list[Any]) -> dict[Partition, int | None]:
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return {Partition(p.topic, p.partition): p.offset if p.offset >= 0 else None for p in places}


def _timestamps(records: list[Any]) -> list[float | None]:
    return [milliseconds / 1000 if kind else None for kind, milliseconds in map(Record.timestamp, records)]


def _messages(partition: Partition, records: list[Any], timestamps: list[float | None]) -> list[Message]:
    headers = list(map(Record.headers, records))
    pairs = list(chain.from_iterable(filter(None, headers)))
    if not pairs:
        attributes: Any = repeat(())
    elif None in map(itemgetter(1), pairs):
        attributes = [tuple((name, value or b"") for name, value in found or ()) for found in headers]
    else:
        attributes = [tuple(found) if found else () for found in headers]
    sources = zip(repeat(partition.topic), repeat(partition.number), map(Record.offset, records))
    fields = zip(map(Record.value, records), map(Record.key, records), attributes, timestamps, sources)  # noqa: B905
    return list(map(tuple.__new__, repeat(Message), fields))


class Sender(Producer):
    """An idempotent producer."""

    def __init__(self, address: Address, topic: str, compression: str, linger: int) -> None:
        super().__init__(address, topic)
        self._errors = ClientErrors()
        names = {"bootstrap.servers": address.servers, "compression.type": compression, "linger.ms": linger}
        limits = {"message.timeout.ms": address.patience * 1000, "error_cb": self._errors}
        self._producer = Librdkafka({**_PRODUCER, **address.settings, **names, **limits})

    def write(self, messages: Sequence[Message]) -> None:
        columns = Message.columns(messages)
        self._produce(columns, map(list, columns[2]), DeliveryReport(messages, self._failed))

    def write_with_ids(self, messages: Sequence[Message]) -> None:
        columns = Message.columns(messages)
        ids = Message.ids(columns)
        if ids is None:
            return super().write_with_ids(messages)
        headers = map(list, zip(zip(repeat(MESSAGE_ID), ids)))
        return self._produce(columns, headers, DeliveryReport(messages, self._failed, Message.with_id))

    def _produce(self, columns: Sequence[Sequence[Any]], headers: Iterator[Any], report: "DeliveryReport") -> None:
        values, keys, _, timestamps, _ = columns
        milliseconds = [int(timestamp * 1000 + 0.5) if timestamp else 0 for timestamp in timestamps]
        waiting, topic, produce = iter(values), repeat(self._topic), self._producer.produce
        produced = map(produce, topic, waiting, keys, repeat(-1), repeat(report), repeat(None), milliseconds, headers)
        while length_hint(waiting):
            try:
                deque(produced, maxlen=0)  # No Python code runs between the calls. It goes on after one that failed.
            except (BufferError, KafkaException):
                self._produce_one(report.messages[len(values) - length_hint(waiting) - 1], report)
        self._producer.poll(0)

    def _produce_one(self, message: Message, report: "DeliveryReport") -> None:
        value, key, attributes, timestamp, _ = report.as_sent(message)
        fields = (value, key, -1, report, None, int((timestamp or 0) * 1000 + 0.5), list(attributes))
        while True:
            try:
                return self._producer.produce(self._topic, *fields)
            except BufferError:  # The local queue is full. Messages that time out leave it with an error.
                self._producer.poll(0.05)
            except KafkaException as error:  # The client itself rejects the message.
                return self._failed.append((report.as_sent(message), error.args[0]))

    def await_deliveries(self) -> None:
        while self._producer.flush(1):  # Ends, because each message times out.
            continue

    def verdict(self, error: Any) -> DeliveryVerdict:
        if error.code() in _BATCH_REJECTED:
            return DeliveryVerdict.BATCH_REJECTED
        return DeliveryVerdict.REJECTED if error.code() in _REJECTED else DeliveryVerdict.UNDELIVERED

    def describe(self, error: Any) -> str:
        last = f", {self._errors.last.str()}" if self._errors.last else ""
        return f"{error.str()} ({error.name()}{last})"

    def close(self) -> None:
        self._producer.purge()
        self._producer.close()


class DeliveryReport:
    """The delivery callback of all messages of a batch. One callback per message would cost more than sending it."""

    _undelivered: dict[tuple[bytes, bytes], list[Message]] | None = None

    def __init__(
        self,
        messages: Sequence[Message],
        failed: list[Failure],
        as_sent: Callable[[Message], Message] = lambda message: message,
    ) -> None:
        self.messages, self._failed, self.as_sent = messages, failed, as_sent

    def __call__(self, error: Any, record: Any) -> None:
        """Finds the message by value and key, which is enough: messages that differ only in headers fail alike."""
        if error is None:
            return
        if self._undelivered is None:
            self._undelivered = defaultdict(list)
            for message in reversed(self.messages):
                self._undelivered[message.value or b"", message.key or b""].append(message)
        message = self._undelivered[record.value() or b"", record.key() or b""].pop()
        self._failed.append((self.as_sent(message), error))
