"""Kafka by confluent-kafka (librdkafka): the fast one. Records are taken over by C functions, a batch at a time."""

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
from .clients import (
    REACH,
    Address,
    Bounds,
    Connection,
    Failure,
    Partition,
    Producer,
    Verdict,
    unreachable,
)
from .probe import await_name

__all__ = ["Reader", "Sender"]

#: Without a large prefetch librdkafka reads a third as fast.
_CONSUMER = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,  # Tells the position behind a gap at the end.
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 8_192,
    "fetch.queue.backoff.ms": 10,
    "fetch.message.max.bytes": 1_048_576,
    "reconnect.backoff.ms": 20,  # The first connection waits for about half of it, too.
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 0,
}
_PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",  # As Kafka's own client; librdkafka's usual one is another.
    "delivery.report.only.error": True,
    "message.max.bytes": 100_000_000,  # The broker says what is too large.
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 50_000,
    "queue.buffering.max.kbytes": 65_536,
    "reconnect.backoff.ms": 20,  # The first connection waits for about half of it, too.
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 0,
}
_UNREACHED = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
_UNSETTLED = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
_SPOILT = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError._INVALID_DIFFERENT_RECORD}
_REFUSED = {
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
        self._news = News()
        if not await_name(address.servers.split(","), REACH):  # librdkafka would then take seconds to close.
            raise unreachable(address, "no host name resolves")
        names = {"bootstrap.servers": address.servers, "group.id": address.group, "error_cb": self._news}
        self._settings = {**_CONSUMER, **address.settings, **names}
        self._consumer = Consumer(self._settings)

    def topics(self) -> Mapping[str, list[Partition]]:
        with self._sentences("list the topics of"):
            found = self._consumer.list_topics(timeout=REACH).topics
        return {name: [Partition(name, number) for number in sorted(topic.partitions)] for name, topic in found.items()}

    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        with self._sentences("get the offsets of"):
            ask = self._consumer.get_watermark_offsets
            return {p: Bounds(*ask(TopicPartition(*p), timeout=REACH)) for p in partitions}

    def at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        asked = [TopicPartition(*p, int(timestamp * 1000)) for p in partitions]
        with self._sentences("get the offsets of"):
            return _offsets(self._consumer.offsets_for_times(asked, timeout=REACH))

    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        places = [TopicPartition(*p) for p in partitions]
        with self._sentences("get the positions of"):
            return _settled()(lambda: _offsets(self._consumer.committed(places, timeout=REACH)))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        places = [TopicPartition(*p, offset) for p, offset in offsets.items()]
        with self._sentences("commit the positions of"):
            _settled()(lambda: _offsets(self._consumer.commit(offsets=places, asynchronous=False)))

    def seek(self, partition: Partition, offset: int) -> None:
        if self._consumer.assignment():  # The next fetch would wait half a second for the answer to the last one.
            self._consumer.close()
            self._consumer = Consumer(self._settings)
        self._partition, self.position = partition, offset
        self._consumer.assign([TopicPartition(*partition, offset)])

    def poll(self, most: int, seconds: float) -> list[Message]:
        records = self._consumer.consume(most, seconds)
        if not records:
            return []
        self.position = records[-1].offset() + 1
        stamps = _stamps(records)
        if None in stamps and any(map(Record.error, records)):  # What is no record has no time.
            records = self._sound(records)
            stamps = _stamps(records)
        return _messages(self._partition, records, stamps)

    def close(self) -> None:
        self._consumer.close()

    def _sound(self, records: list[Any]) -> list[Any]:
        """Those that are records; the others are news, of which the end of the partition is the usual one."""
        last = records[-1].error()
        if last is not None and last.code() == KafkaError._PARTITION_EOF:
            self.position -= 1  # What is read next, not what was read.
        for record in records:
            error = record.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                raise self._error("read", error)
        return [record for record in records if record.error() is None]

    @contextmanager
    def _sentences(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._consumer.poll(0)  # Hands over what was reported meanwhile.
            raise self._error(doing, error.args[0]) from None

    def _error(self, doing: str, error: Any) -> QueueError:
        return _sentence(self._address, doing, error, self._news)


class News:
    """What librdkafka reports beside the answers to calls: the reason why a server can't be reached."""

    last: Any = None

    def __call__(self, error: Any) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error


def _sentence(address: Address, doing: str, error: Any, news: News) -> QueueError:
    if error.code() in _UNREACHED:
        return unreachable(address, (news.last or error).str())
    return QueueError(
        f"can't {doing} the queue {address.uri} at {address.servers} as group {address.group!r}: {error.str()} "
        f"({error.name()})"
    )


def _settled() -> Retrying:
    """Waits for a group's coordinator, which a young cluster is still choosing; librdkafka gives up at once."""
    return Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, KafkaException) and e.args[0].code() in _UNSETTLED),
        stop=stop_after_delay(REACH),
        wait=wait_fixed(0.2),
        reraise=True,
    )


def _offsets(places: list[Any]) -> dict[Partition, int | None]:
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return {Partition(p.topic, p.partition): p.offset if p.offset >= 0 else None for p in places}


def _stamps(records: list[Any]) -> list[float | None]:
    return [stamp / 1000 if kind else None for kind, stamp in map(Record.timestamp, records)]


def _messages(partition: Partition, records: list[Any], stamps: list[float | None]) -> list[Message]:
    headers = list(map(Record.headers, records))
    pairs = list(chain.from_iterable(filter(None, headers)))
    if not pairs:
        attributes: Any = repeat(())
    elif None in map(itemgetter(1), pairs):
        attributes = [tuple((name, value or b"") for name, value in found or ()) for found in headers]
    else:
        attributes = [tuple(found) if found else () for found in headers]
    sources = zip(repeat(partition.topic), repeat(partition.number), map(Record.offset, records))
    fields = zip(map(Record.value, records), map(Record.key, records), attributes, stamps, sources)  # noqa: B905
    return list(map(tuple.__new__, repeat(Message), fields))


class Sender(Producer):
    """An idempotent producer."""

    def __init__(self, address: Address, topic: str, compression: str, linger: int) -> None:
        super().__init__(address, topic)
        self._news = News()
        names = {"bootstrap.servers": address.servers, "compression.type": compression, "linger.ms": linger}
        bound = {"message.timeout.ms": address.patience * 1000, "error_cb": self._news}
        self._producer = Librdkafka({**_PRODUCER, **address.settings, **names, **bound})

    def write(self, messages: Sequence[Message]) -> None:
        columns = Message.columns(messages)
        self._produce(columns, map(list, columns[2]), Reports(messages, self._failed))

    def write_with_ids(self, messages: Sequence[Message]) -> None:
        columns = Message.columns(messages)
        ids = Message.ids(columns)
        if ids is None:
            return super().write_with_ids(messages)
        headers = map(list, zip(zip(repeat(MESSAGE_ID), ids)))
        return self._produce(columns, headers, Reports(messages, self._failed, Message.with_id))

    def _produce(self, columns: Sequence[Sequence[Any]], headers: Iterator[Any], report: "Reports") -> None:
        values, keys, _, stamps, _ = columns
        milliseconds = [int(stamp * 1000 + 0.5) if stamp else 0 for stamp in stamps]
        waiting, topic, produce = iter(values), repeat(self._topic), self._producer.produce
        produced = map(produce, topic, waiting, keys, repeat(-1), repeat(report), repeat(None), milliseconds, headers)
        while length_hint(waiting):
            try:
                deque(produced, maxlen=0)  # Without Python between the calls; it goes on behind one that failed.
            except (BufferError, KafkaException):
                self._produce_one(report.messages[len(values) - length_hint(waiting) - 1], report)
        self._producer.poll(0)

    def _produce_one(self, message: Message, report: "Reports") -> None:
        value, key, attributes, stamp, _ = report.as_sent(message)
        fields = (value, key, -1, report, None, int((stamp or 0) * 1000 + 0.5), list(attributes))
        while True:
            try:
                return self._producer.produce(self._topic, *fields)
            except BufferError:  # The local queue is full. What no broker takes in time leaves it with an error.
                self._producer.poll(0.05)
            except KafkaException as error:  # Refused without asking the broker.
                return self._failed.append((report.as_sent(message), error.args[0]))

    def drain(self) -> None:
        while self._producer.flush(1):  # Ends: each message has its time.
            continue

    def judge(self, error: Any) -> Verdict:
        code = error.code()
        return Verdict.SPOILT if code in _SPOILT else Verdict.REFUSED if code in _REFUSED else Verdict.LOST

    def said(self, error: Any) -> str:
        news = f", {self._news.last.str()}" if self._news.last else ""
        return f"{error.str()} ({error.name()}{news})"

    def close(self) -> None:
        self._producer.purge()
        self._producer.close()


class Reports:
    """Hears what failed in a batch. One for all its messages: a callback for each would cost more than sending it."""

    _open: dict[tuple[bytes, bytes], list[Message]] | None = None

    def __init__(
        self,
        messages: Sequence[Message],
        failed: list[Failure],
        as_sent: Callable[[Message], Message] = lambda message: message,
    ) -> None:
        self.messages, self._failed, self.as_sent = messages, failed, as_sent

    def __call__(self, error: Any, record: Any) -> None:
        """A report knows value and key, which is enough: twins that differ in headers alone share their fate."""
        if error is None:
            return
        if self._open is None:
            self._open = defaultdict(list)
            for message in reversed(self.messages):
                self._open[message.value or b"", message.key or b""].append(message)
        message = self._open[record.value() or b"", record.key() or b""].pop()
        self._failed.append((self.as_sent(message), error))
