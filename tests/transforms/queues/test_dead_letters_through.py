"""Dead letters through real brokers: written, read, and sent back to the queues where their items entered."""

from pathlib import Path

import pytest

from beam_patterns.pipelines import replay_dead_letters
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message, open_queue
from tests.servers.kafka import Cluster
from tests.servers.pubsub import Service

pytestmark = pytest.mark.integration

PAYLOADS = [b"\xff\xfe\x00 not UTF-8", b"<script>alert(1)</script>", b"x\x80" * 400_000, b"", None]


def put(uri: str, *messages: Message) -> None:
    writer = open_queue(uri).writer()
    writer.write(messages)
    assert writer.flush() == []
    writer.close()


def read_all(uri: str) -> list[Message]:
    queue = open_queue(uri)
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def letter(value: bytes | None, source: tuple[str, int, int] | tuple[str, str]) -> DeadLetter:
    message = Message(value, b"key", (("lang", b"en"), ("raw", b"\xfe")), 5.0, source)
    return DeadLetter.of(message, ValueError("<b>no</b>"), step="Work")


def test_letters_in_kafka_have_kafka_connects_headers_and_go_back_byte_for_byte(kafka: Cluster) -> None:
    orders, dead = kafka.topic(), kafka.topic()
    letters = [letter(value, (orders, 0, number)) for number, value in enumerate(PAYLOADS)]
    put(kafka.uri(dead), *(one.as_message() for one in letters))
    held = read_all(kafka.uri(dead, group="look"))
    assert [DeadLetter.from_message(message) for message in held] == letters
    headers = dict(held[1].attributes)
    assert {name.removeprefix("__connect.errors."): value for name, value in headers.items() if "connect" in name} == {
        "topic": orders.encode(),
        "partition": b"0",
        "offset": b"1",
        "stage": b"Work",
        "exception.class.name": b"ValueError",
        "exception.message": b"<b>no</b>",
        "exception.stacktrace": b"",
        "connector.name": b"",
    }
    assert replay_dead_letters.run(["--dead_letters", kafka.uri(dead, group="replay")]) == 0
    returned = read_all(kafka.uri(orders, group="look"))
    assert [(m.value, m.key, m.attributes[:2]) for m in returned] == [
        (value, b"key", (("lang", b"en"), ("raw", b"\xfe"))) for value in PAYLOADS
    ]
    assert len({m.attribute(MESSAGE_ID) for m in returned}) == len(PAYLOADS)


def test_letters_in_pub_sub_go_back_byte_for_byte_and_other_letters_return_to_the_topic(
    pubsub: Service, tmp_path: Path
) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    letters = [letter(value, ("orders", 0, number)) for number, value in enumerate(PAYLOADS)]
    put(pubsub.uri(topic), *(one.as_message() for one in letters))
    orders = f"sqlite://{tmp_path}/q.db?topic=orders"
    arguments = ["--dead_letters", pubsub.uri(subscription, idle="1", topic=topic), "--to", orders]

    def returned() -> list[Message]:
        return list({m.attribute(MESSAGE_ID): m for m in read_all(f"{orders}&group=look")}.values())

    assert replay_dead_letters.run([*arguments, "--where", "payload.startsWith('<script>')"]) == 0
    assert [m.value for m in returned()] == [b"<script>alert(1)</script>"]
    assert replay_dead_letters.run(arguments) == 0
    assert sorted(m.value or b"none" for m in returned()) == sorted(value or b"none" for value in PAYLOADS)
    assert {(m.key, m.attributes[:2]) for m in returned()} == {(b"key", (("lang", b"en"), ("raw", b"\xfe")))}
