"""The Pub/Sub queue against a real service: Google's emulator or pstest."""

import time
from collections.abc import Callable
from functools import partial

import apache_beam as beam
import pytest

from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import Message, WriteToQueue, open_queue
from tests.servers.pubsub import Service
from tests.transforms.queues.pubsub.pubsub_between import Between, bare, numbered, pending, publish, start, values
from tests.transforms.queues.pubsub.pubsub_run import Grouped

pytestmark = pytest.mark.integration


def failing(message: Message) -> Message:
    """Work that fails on one message."""
    if message.value == b"7":
        raise RuntimeError("seven")
    return message


def watching(message: Message, source: str) -> Message:
    """Work that lasts three deadlines of the subscription. Fails if messages are delivered again meanwhile."""
    queue = open_queue(f"{source}?idle={3 * 10}")
    for again in queue.read(queue.splits()[0]) if message.value == b"7" else ():
        raise RuntimeError(f"{len(again)} messages were delivered a second time")
    return message


class Republishing(beam.PTransform):
    """Work that publishes a message to its source for each message that it reads."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        return messages | "Talk" >> beam.Map(republished, topic=self._topic).with_output_types(Message)


def republished(message: Message, topic: str) -> Message:
    """The message itself. Publishes another one."""
    publish(topic, [Message(b"later")])
    return message


def test_payload_key_and_attributes_are_unchanged(pubsub: Service, pipeline: Callable[..., beam.Pipeline]) -> None:
    between = Between(pubsub)
    messages = [
        Message(b"%d" % n, b"user-%d" % (n % 3) if n % 2 else None, (("lang", b"en"), ("n", b"%d" % n)))
        for n in range(1200)
    ]
    odd = [
        Message(b"\x00\xff", b"\xff\xfe", (("trace", b"\x00\xff"), ("emäil", b""), ("text", b"base64:aGk="))),
        Message(b"", None, (("empty", b"payload"),)),
        Message(None, b"deleted"),
    ]
    assert publish(pubsub.uri(between.topic), messages + odd) == []

    between.run(pipeline())

    assert bare(between.written()) == bare(messages + odd)


def test_a_message_has_subscription_and_id_as_source_and_its_publish_time(pubsub: Service) -> None:
    before = time.time()
    between = Between(pubsub, 2)
    found = pending(pubsub.uri(between.source, idle="2"))
    assert [message.source[0] for message in found if message.source] == [f"tests/{between.source}"] * 2
    assert len({message.source for message in found}) == 2
    assert all(before - 1 < (message.timestamp or 0) < time.time() + 1 for message in found)


def test_a_message_written_twice_has_one_message_id(pubsub: Service) -> None:
    between = Between(pubsub, 50)
    uri = pubsub.uri(between.source, idle="2")
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create(pending(uri)) | WriteToQueue(pubsub.uri(between.target))

    ids = [message.attribute("message_id") for message in between.written()]
    assert (len(ids), len(set(ids))) == (100, 50)


def test_reading_without_a_pipeline_acknowledges_nothing(pubsub: Service) -> None:
    between = Between(pubsub, 300)
    assert values(between.left(2)) == values(numbered(300))
    assert values(between.left(2)) == values(numbered(300))


def test_messages_of_nearly_10_mb_pass_and_a_larger_one_is_rejected_alone(pubsub: Service) -> None:
    between = Between(pubsub)
    large, larger = Message(b"x" * 9_900_000, attributes=(("n", b"1"),)), Message(b"y" * 10_000_000)
    small = Message(b"small", attributes=(("n", b"2"),))

    rejected = publish(pubsub.uri(between.topic), [small, larger, large])

    assert [(message.value, str(error)) for message, error in rejected] == [
        (
            larger.value,
            f"the topic '{between.topic}' rejects it: it has 10,000,032 bytes with its attributes, and Pub/Sub allows "
            "10,000,000",
        )
    ]
    between.run(beam.Pipeline("FnApiRunner"))
    assert bare(between.written()) == bare([small, large])


def test_a_message_that_only_the_service_rejects_is_rejected_alone(pubsub: Service) -> None:
    if not pubsub.official:
        pytest.skip("pstest accepts messages without payload and attributes")
    between = Between(pubsub)
    rejected = publish(pubsub.uri(between.topic), [Message(b"1"), Message(b""), Message(b"2")])
    assert [message for message, _ in rejected] == [Message(b"")]
    assert "Some messages are empty" in str(rejected[0].error)
    assert values(between.left(2)) == [b"1", b"2"]


def test_messages_of_a_key_are_read_in_the_order_of_writing(pubsub: Service) -> None:
    between = Between(pubsub, enable_message_ordering=True)
    messages = [Message(b"%d" % n, b"key-%d" % (n % 2)) for n in range(12)]
    assert publish(pubsub.uri(between.topic), messages) == []

    seen: list[Message] = []
    while len(seen) < 12:  # A key's next messages may be delivered only after the previous ones are acknowledged.
        before = len(seen)
        between.run(beam.Pipeline("FnApiRunner"), idle=1)
        seen = between.written()
        assert len(seen) > before
    order = sorted(seen, key=lambda message: int(message.source[1].lstrip("m")) if message.source else 0)
    assert [m.value for m in order if m.key == b"key-0"] == [b"%d" % n for n in range(0, 12, 2)]
    assert [m.value for m in order if m.key == b"key-1"] == [b"%d" % n for n in range(1, 12, 2)]


def test_nothing_is_acknowledged_when_a_write_fails(pubsub: Service, pipeline: Callable[..., beam.Pipeline]) -> None:
    between = Between(pubsub, 1500)
    target, between.target = between.target, "no-such-topic"
    with pytest.raises(Exception, match=r"has no topic 'no-such-topic' in the project 'tests'"):
        between.run(pipeline())
    between.target = target

    between.run(pipeline())  # In the same process, which has released the messages.

    assert values(between.written()) == values(numbered(1500))
    assert between.left() == []


def test_a_failed_run_releases_its_messages_when_its_process_ends(pubsub: Service) -> None:
    between = Between(pubsub, 150)
    assert start("straight", pubsub.uri(between.source, idle="1"), pubsub.uri("no-such-topic")).wait() == 1
    assert values(between.left(2)) == values(numbered(150))


def test_a_failure_after_a_group_by_key_loses_nothing(pubsub: Service, pipeline: Callable[..., beam.Pipeline]) -> None:
    between = Between(pubsub, 1500)
    with pytest.raises(Exception, match="seven"):
        between.run(pipeline(), Grouped(failing))
    assert between.written() == []

    between.run(pipeline(), Grouped())

    assert values(between.written()) == values(numbered(1500))
    assert between.left() == []


def test_work_that_takes_three_deadlines_causes_no_second_delivery(
    pubsub: Service, pipeline: Callable[..., beam.Pipeline]
) -> None:
    between = Between(pubsub, 1500)
    work = WorkQueue(partial(watching, source=pubsub.uri(between.source)), attempts=1, timeout=None)
    between.run(pipeline(), work.with_workers(2))  # These worker processes hold no leases; the Beam worker does.
    assert values(between.written()) == values(numbered(1500))
    assert between.left() == []


def test_a_run_ends_although_the_topic_is_never_idle(pubsub: Service) -> None:
    between = Between(pubsub, 10)
    between.run(beam.Pipeline("FnApiRunner"), Republishing(pubsub.uri(between.topic)))
    written = values(between.written())
    assert written[:10] == values(numbered(10))
    assert set(written[10:]) == {b"later"}
