"""The Kafka queue, with both clients, against a real broker."""

import os
import re
import socket
import socketserver
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from beam_patterns.transforms.queues import Message, Position, Queue, QueueError, open_queue
from tests.servers import free_port, wait_until
from tests.servers.kafka import Cluster, tool
from tests.transforms.queues.kafka import kafka_run

pytestmark = pytest.mark.integration

#: Whole seconds. The broker's retention would delete records with an old time.
NOW = int(time.time())


@pytest.fixture(params=["confluent", "kafka-python"], autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs with both client libraries."""
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka")
    monkeypatch.setenv("BEAM_PATTERNS_KAFKA_CLIENT", request.param)
    return request.param


def publish(uri: str, messages: list[Message]) -> list[tuple[Message, str]]:
    """Writes messages and returns those that were rejected, with the reason."""
    writer = open_queue(uri).writer()
    writer.write(messages)
    rejected = [(message, str(error)) for message, error in writer.flush()]
    writer.close()
    return rejected


def pending(uri: str) -> list[Message]:
    """The messages that the group has not read."""
    queue = open_queue(uri)
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def everything(kafka: Cluster, topic: str) -> list[Message]:
    """All messages of a topic."""
    return pending(kafka.uri(topic, group=f"all-{uuid.uuid4().hex}"))


def written(kafka: Cluster, topic: str) -> int:
    """Number of offsets of a topic."""
    return sum(split.stop for split in open_queue(kafka.uri(topic, group="count")).splits())


def settle(uri: str) -> None:
    """Commits the end of each partition."""
    queue = open_queue(uri)
    queue.commit([Position(split.partition, split.stop) for split in queue.splits()])


def orders(numbers: range) -> list[Message]:
    """Orders; every third has no key, and every fourth has headers."""
    return [
        Message(
            b'{"number": %d,   "padding": "%032x"}' % (n, n * 2654435761),
            key=b"user-%d" % (n % 1000) if n % 3 else None,
            attributes=(("trace", b"\x00\xff%d" % n), ("trace", b""), ("emäil", b"x")) if n % 4 == 0 else (),
            timestamp=NOW + n / 1000,
        )
        for n in numbers
    ]


def bare(messages: list[Message]) -> list[tuple[object, ...]]:
    """Value, key, headers and time without the id that writing adds, sorted."""
    rows = [(m.value, m.key, tuple(a for a in m.attributes if a[0] != "message_id"), m.timestamp) for m in messages]
    return sorted(rows, key=repr)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_100_000_records_are_filtered_and_split_unchanged(kafka: Cluster, compression: str) -> None:
    source, even, odd = kafka.topic(4), kafka.topic(4), kafka.topic(2)
    messages = orders(range(100_000))
    assert publish(kafka.uri(source, compression=compression), messages) == []

    uris = [kafka.uri(topic, compression=compression) for topic in (even, odd)]
    kafka_run.run("straight", kafka.uri(source, group="flow"), *uris)

    kept = [m for n, m in enumerate(messages) if n % 10]
    assert bare(everything(kafka, even)) == bare([m for m in kept if m.json()["number"] % 2 == 0])
    assert bare(everything(kafka, odd)) == bare([m for m in kept if m.json()["number"] % 2])
    assert pending(kafka.uri(source, group="flow")) == []


def test_values_keys_and_headers_are_stored_byte_for_byte(kafka: Cluster) -> None:
    topic = kafka.topic()
    messages = [
        Message(b"", b"empty", (), NOW),
        Message(bytes(range(256)), b"\x00\xff", (("a", b""), ("a", b"\x00"), ("ü", b"\xff")), NOW + 0.001),
        Message(None, b"tombstone", (), NOW + 0.999),
        Message(b"no key", None, (), NOW + 1),
        Message(b"empty key", b"", (), NOW + 2),
        Message(b"x" * 900_000, b"large", (), NOW + 3),
    ]
    assert publish(kafka.uri(topic), messages) == []
    assert everything(kafka, topic) == [m._replace(source=(topic, 0, n)) for n, m in enumerate(messages)]


def test_a_header_without_value_is_read_as_an_empty_one(kafka: Cluster) -> None:
    confluent = pytest.importorskip("confluent_kafka")
    topic = kafka.topic()
    producer = confluent.Producer({"bootstrap.servers": kafka.servers})
    producer.produce(topic, b"v", headers=[("none", None), ("some", b"x")])
    assert producer.flush(10) == 0
    assert [m.attributes for m in everything(kafka, topic)] == [(("none", b""), ("some", b"x"))]


def test_a_group_reads_every_record_once_and_its_position_never_moves_backward(kafka: Cluster) -> None:
    topic = kafka.topic(3)
    uri = kafka.uri(topic, group="shipping")
    publish(uri, orders(range(30)))
    assert bare(pending(uri)) == bare(orders(range(30)))
    settle(uri)
    assert pending(uri) == []

    publish(uri, orders(range(30, 40)))
    assert bare(pending(uri)) == bare(orders(range(30, 40)))
    open_queue(uri).commit([Position(f"{topic}/{n}", 1) for n in range(3)])
    assert bare(pending(uri)) == bare(orders(range(30, 40)))
    assert len(pending(kafka.uri(topic, group="another"))) == 40


def test_the_uri_tells_where_a_group_without_a_position_starts(kafka: Cluster) -> None:
    topic = kafka.topic()
    publish(kafka.uri(topic), [Message(b"old", timestamp=NOW), Message(b"new", timestamp=NOW + 10)])
    assert [m.value for m in pending(kafka.uri(topic, group="a", start="earliest"))] == [b"old", b"new"]
    assert [m.value for m in pending(kafka.uri(topic, group="b", start="latest"))] == []
    moment = datetime.fromtimestamp(NOW + 5, UTC).isoformat()
    assert [m.value for m in pending(kafka.uri(topic, group="c", start=moment))] == [b"new"]
    future = datetime.fromtimestamp(NOW + 60, UTC).isoformat().replace("+00:00", "Z")
    assert pending(kafka.uri(topic, group="d", start=future)) == []


def test_partitions_are_read_up_to_their_splits_while_more_is_written(kafka: Cluster) -> None:
    topic = kafka.topic(3)
    publish(kafka.uri(topic), orders(range(900)))
    queue = open_queue(kafka.uri(topic, group="g"))
    splits = queue.splits()
    publish(kafka.uri(topic), orders(range(900, 1_800)))
    with queue.reading() as read:
        found = [[m for batch in read(split) for m in batch] for split in (*splits, splits[0])]
    places = [[m.source for m in messages] for messages in found]
    assert places == [[(topic, i, n) for n in range(splits[i].stop)] for i in (0, 1, 2, 0)]
    assert bare([m for messages in found[:3] for m in messages]) == bare(orders(range(900)))


def test_several_topics_are_read_as_one_queue(kafka: Cluster) -> None:
    first, second = kafka.topic(2), kafka.topic()
    publish(kafka.uri(first), orders(range(10)))
    publish(kafka.uri(second), orders(range(10, 20)))
    uri = kafka.uri(f"{first},{second}", group="both")
    assert bare(pending(uri)) == bare(orders(range(20)))
    settle(uri)
    assert pending(uri) == []


def test_a_read_ends_if_the_last_offsets_hold_no_records(kafka: Cluster) -> None:
    from kafka import KafkaProducer

    topic = kafka.topic()
    producer = KafkaProducer(bootstrap_servers=kafka.servers, transactional_id=topic)
    producer.init_transactions()
    for values, end in ([b"a", b"b"], producer.commit_transaction), ([b"never", b"read"], producer.abort_transaction):
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value)
        producer.flush()
        end()
    uri = kafka.uri(topic, group="g")
    assert open_queue(uri).splits() == [(f"{topic}/0", 0, 6)]
    assert [m.value for m in pending(uri)] == [b"a", b"b"]

    producer.begin_transaction()  # Records of an open transaction are read by a later run.
    producer.send(topic, b"open")
    producer.flush()
    assert [m.value for m in pending(uri)] == [b"a", b"b"]
    settle(uri)
    producer.commit_transaction()
    producer.close()
    assert [m.value for m in pending(uri)] == [b"open"]


def test_a_compacted_topic_is_read_across_its_gaps(kafka: Cluster) -> None:
    config = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    topic = kafka.topic(**config)
    uri = kafka.uri(topic)

    def compacted() -> bool:
        publish(uri, [Message(b"v", b"other")])  # Only another record makes the broker roll and clean a segment.
        return [m.value for m in everything(kafka, topic) if m.key == b"k"] == [b"19"]

    publish(uri, [Message(b"%d" % n, b"k") for n in range(20)])
    wait_until(compacted, "compaction")
    assert everything(kafka, topic)[0].source == (topic, 0, 19)


def test_a_message_that_the_broker_rejects_is_returned_and_the_others_are_written(kafka: Cluster) -> None:
    topic = kafka.topic(**{"max.message.bytes": "20000"})
    large = Message(os.urandom(30_000), b"large")
    ((rejected, reason),) = publish(kafka.uri(topic), [*orders(range(100)), large, *orders(range(100, 200))])
    assert rejected == large
    assert re.search(rf"topic '{topic}' rejects the message: .*(MSG_SIZE_TOO_LARGE|MessageSizeTooLarge)", reason)
    assert bare(everything(kafka, topic)) == bare(orders(range(200)))


def test_written_and_rejected_messages_have_ids(kafka: Cluster) -> None:
    topic = kafka.topic(**{"max.message.bytes": "20000"})
    read = [Message(b"%d" % n, source=("orders", 3, n)) for n in range(10)]
    read[4] = read[4]._replace(value=os.urandom(30_000))
    writer = open_queue(kafka.uri(topic)).writer()
    writer.write_with_ids(read)
    ((rejected, _),) = writer.flush()
    writer.close()
    with_ids = [message.with_id() for message in read]
    assert rejected == with_ids.pop(4)
    assert {(m.value, m.attributes) for m in everything(kafka, topic)} == {(m.value, m.attributes) for m in with_ids}


def test_one_write_may_exceed_the_buffer_of_a_client(kafka: Cluster) -> None:
    topic = kafka.topic()
    many = [Message(b"%d" % n, source=("orders", 3, n)) for n in range(120_000)]
    writer = open_queue(kafka.uri(topic)).writer()
    writer.write_with_ids(many)
    assert writer.flush() == []
    writer.close()
    assert [m.attributes for m in everything(kafka, topic)] == [m.with_id().attributes for m in many]


def test_a_record_without_key_is_rejected_alone_by_a_compacted_topic(kafka: Cluster) -> None:
    topic = kafka.topic(**{"cleanup.policy": "compact"})
    keyless = Message(b"no key")
    ((rejected, _),) = publish(kafka.uri(topic), [Message(b"a", b"a"), keyless, Message(b"b", b"b")])
    assert rejected == keyless
    assert sorted(m.value or b"" for m in everything(kafka, topic)) == [b"a", b"b"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
@pytest.mark.parametrize("use", [lambda q: q.splits(), lambda q: q.writer()], ids=["read", "write"])
def test_an_unreachable_server_is_named_within_seconds(host: str, use: Callable[[Queue], object]) -> None:
    uri = f"kafka://{host}:{free_port()}/orders?group=g"
    why = "the connection is refused" if host == "127.0.0.1" else "the host name does not resolve"
    with pytest.raises(QueueError, match=rf"no answer from Kafka \({host}:\d+: {why}.* the queue {re.escape(uri)}"):
        use(open_queue(uri))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("use", [lambda q: q.splits(), lambda q: q.writer()], ids=["read", "write"])
def test_a_missing_topic_is_named_and_not_created(kafka: Cluster, use: Callable[[Queue], object]) -> None:
    topic = kafka.topic()
    uri = kafka.uri(f"{topic}s", group="g")
    for _ in range(2):  # The second time it is still missing.
        sentence = rf"Kafka at {kafka.servers} has no topic '{topic}s'.*did you mean '{topic}'"
        with pytest.raises(QueueError, match=sentence):
            use(open_queue(uri))


@pytest.mark.timeout(10)
def test_a_server_that_does_not_answer_is_named_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"kafka://127.0.0.1:{server.getsockname()[1]}/orders?group=g"
        with pytest.raises(QueueError, match="something listens on this port, but does not answer"):
            open_queue(uri).splits()


class _WebServer(socketserver.BaseRequestHandler):
    """Answers like a web server that receives something else than HTTP."""

    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@pytest.mark.timeout(60)
def test_a_server_with_another_protocol_is_named_within_seconds() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _WebServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"kafka://127.0.0.1:{server.server_address[1]}/orders?group=g"
        sentence = rf"listens on this port, but does not answer as the settings require.*the queue {re.escape(uri)}"
        with pytest.raises(QueueError, match=sentence):
            open_queue(uri).splits()
        server.shutdown()


def test_a_topic_that_was_created_again_is_detected(kafka: Cluster) -> None:
    topic = kafka.topic()
    uri = kafka.uri(topic, group="g")
    publish(uri, orders(range(5)))
    open_queue(uri).commit([Position(f"{topic}/0", 9)])
    with pytest.raises(QueueError, match=f"group 'g' has committed offset 9 of {topic}/0, which ends at 5"):
        open_queue(uri).splits()


def test_a_read_without_a_group_is_refused(kafka: Cluster) -> None:
    with pytest.raises(QueueError, match=r"add \?group=NAME"):
        open_queue(kafka.uri(kafka.topic())).splits()


def test_kafkas_own_consumer_reads_what_we_wrote(kafka: Cluster) -> None:
    topic = kafka.topic()
    publish(kafka.uri(topic), [Message(b"v1", b"k1", (("h", b"1"), ("g", b"2"))), Message(None, b"k2"), Message(b"v3")])
    shown = ["print.key=true", "print.headers=true", "null.literal=NULL"]
    properties = [part for name in shown for part in ("--formatter-property", name)]
    arguments = ["--bootstrap-server", kafka.servers, "--topic", topic, "--from-beginning", "--max-messages", "3"]
    output = tool("org.apache.kafka.tools.consumer.ConsoleConsumer", *arguments, *properties)
    assert output.splitlines() == [b"h:1,g:2\tk1\tv1", b"NO_HEADERS\tk2\tNULL", b"NO_HEADERS\tNULL\tv3"]


def test_we_read_what_kafkas_own_producer_wrote(kafka: Cluster) -> None:
    topic = kafka.topic()
    parsed = ["parse.key=true", "parse.headers=true", "null.marker=NULL"]
    properties = [part for name in parsed for part in ("--reader-property", name)]
    lines = b"h:1,g:2\tk1\tv1\nh:\tk2\tNULL\nNULL\tNULL\tv3\n"
    arguments = ["--bootstrap-server", kafka.servers, "--topic", topic, "--compression-codec", "snappy"]
    tool("org.apache.kafka.tools.ConsoleProducer", *arguments, *properties, stdin=lines)
    assert [(m.value, m.key, m.attributes) for m in everything(kafka, topic)] == [
        (b"v1", b"k1", (("h", b"1"), ("g", b"2"))),
        (None, b"k2", (("h", b""),)),
        (b"v3", None, ()),
    ]
