"""The Pub/Sub queue against a real service: Google's emulator or pstest."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import (
    CommitOffsets,
    Message,
    Position,
    QueueError,
    ReadFromQueue,
    WriteToQueue,
    open_queue,
)
from beam_patterns.transforms.queues.queue import Rejected
from tests.queues.pubsub_run import Grouped, Straight, run
from tests.servers import free_port
from tests.servers import pubsub as server
from tests.servers.pubsub import Service

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
#: The lease of messages that a killed run had pulled.
LEASE = 20


def publish(uri: str, messages: list[Message]) -> list[Rejected]:
    """Writes; what was rejected comes back with the reason."""
    writer = open_queue(uri).writer()
    writer.write(messages)
    rejected = writer.flush()
    writer.close()
    return list(rejected)


def pending(uri: str) -> list[Message]:
    """What is in a subscription, without taking it."""
    queue = open_queue(uri)
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def numbered(count: int) -> list[Message]:
    """0, 1, 2, ..."""
    return [Message(b"%d" % n) for n in range(count)]


def values(messages: list[Message]) -> list[bytes]:
    """The payloads, in an order of their own."""
    return sorted((message.value or b"" for message in messages), key=lambda value: (len(value), value))


def bare(messages: list[Message]) -> list[tuple[object, ...]]:
    """Value, key and attributes, without the id that writing adds, in an order of their own."""
    rows = [(m.value, m.key, sorted(a for a in m.attributes if a[0] != "message_id")) for m in messages]
    return sorted(rows, key=repr)


def failing(message: Message) -> Message:
    """Work that fails on one of many."""
    if message.value == b"7":
        raise RuntimeError("seven")
    return message


def watching(message: Message, source: str) -> Message:
    """Work that takes three times as long as the subscription's deadline, and sees what is delivered meanwhile."""
    queue = open_queue(f"{source}?idle={3 * 10}")
    for again in queue.read(queue.splits()[0]) if message.value == b"7" else ():
        raise RuntimeError(f"{len(again)} messages were delivered a second time")
    return message


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "tests.queues.pubsub_run", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """kill -9 after some seconds; false if the run was over before."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    return False


class Talking(beam.PTransform):
    """Work that publishes a message to its own source for each that it gets."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        return messages | "Talk" >> beam.Map(talked, topic=self._topic).with_output_types(Message)


def talked(message: Message, topic: str) -> Message:
    """The message itself; another one is published."""
    publish(topic, [Message(b"later")])
    return message


class Between:
    """A topic with a subscription to read, and one to write with a subscription that shows what was written."""

    def __init__(self, service: Service, count: int = 0, **settings: Any) -> None:
        topic, self.target = service.topic(), service.topic()
        self.source, self._seen = service.subscription(topic, **settings), service.subscription(self.target)
        self._service = service
        assert publish(service.uri(topic), numbered(count)) == []
        self.topic = topic

    def run(self, p: beam.Pipeline, flow: beam.PTransform | None = None, idle: int = 2) -> None:
        """Source to target."""
        run(p, flow or Straight(), self._service.uri(self.source, idle=str(idle)), self._service.uri(self.target))

    def run_out(self, form: str) -> None:
        """Runs until nothing is left: a machine that stands still for longer than a lease gets messages again."""
        source = self._service.uri(self.source, idle=str(LEASE + 5))
        for _ in range(5):
            assert start(form, source, self._service.uri(self.target)).wait() == 0
            if not self.left():
                return
        raise AssertionError("after five runs there are still messages to read")

    def written(self) -> list[Message]:
        """What is in the target."""
        return pending(self._service.uri(self._seen, idle="3"))

    def left(self, idle: int = 11) -> list[Message]:
        """What would be delivered again, when the deadline of 10 seconds is over."""
        return pending(self._service.uri(self.source, idle=str(idle)))


def test_payload_key_and_attributes_come_back_as_they_were(
    pubsub: Service, pipeline: Callable[..., beam.Pipeline]
) -> None:
    between = Between(pubsub)
    messages = [
        Message(b"%d" % n, b"user-%d" % (n % 3) if n % 2 else None, (("lang", b"en"), ("n", b"%d" % n)))
        for n in range(1200)
    ]
    odd = [
        Message(b"\x00\xff", b"\xff\xfe", (("trace", b"\x00\xff"), ("emäil", b""), ("said", b"base64:aGk="))),
        Message(b"", None, (("empty", b"payload"),)),
        Message(None, b"deleted"),
    ]
    assert publish(pubsub.uri(between.topic), messages + odd) == []

    between.run(pipeline())

    assert bare(between.written()) == bare(messages + odd)


def test_a_message_says_which_subscription_and_id_it_has_and_when_it_was_published(pubsub: Service) -> None:
    before = time.time()
    between = Between(pubsub, 2)
    found = pending(pubsub.uri(between.source, idle="2"))
    assert [message.source[0] for message in found if message.source] == [f"tests/{between.source}"] * 2
    assert len({message.source for message in found}) == 2
    assert all(before - 1 < (message.timestamp or 0) < time.time() + 1 for message in found)


def test_what_was_written_twice_has_the_same_message_id(pubsub: Service) -> None:
    between = Between(pubsub, 50)
    uri = pubsub.uri(between.source, idle="2")
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create(pending(uri)) | WriteToQueue(pubsub.uri(between.target))

    ids = [message.attribute("message_id") for message in between.written()]
    assert (len(ids), len(set(ids))) == (100, 50)


def test_a_look_takes_nothing(pubsub: Service) -> None:
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
            f"the topic '{between.topic}' refuses it: it has 10,000,032 bytes with its attributes, and Pub/Sub takes "
            "10,000,000",
        )
    ]
    between.run(beam.Pipeline("FnApiRunner"))
    assert bare(between.written()) == bare([small, large])


def test_what_only_the_service_refuses_is_rejected_alone(pubsub: Service) -> None:
    if not pubsub.official:
        pytest.skip("pstest takes messages without payload and attributes")
    between = Between(pubsub)
    rejected = publish(pubsub.uri(between.topic), [Message(b"1"), Message(b""), Message(b"2")])
    assert [message for message, _ in rejected] == [Message(b"")]
    assert "Some messages are empty" in str(rejected[0].error)
    assert values(between.left(2)) == [b"1", b"2"]


def test_messages_of_a_key_come_in_the_order_in_which_they_were_written(pubsub: Service) -> None:
    between = Between(pubsub, enable_message_ordering=True)
    messages = [Message(b"%d" % n, b"key-%d" % (n % 2)) for n in range(12)]
    assert publish(pubsub.uri(between.topic), messages) == []

    seen: list[Message] = []
    while len(seen) < 12:  # A key's next messages may come only when those before are acknowledged.
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

    between.run(pipeline())  # In the same process, so at once.

    assert values(between.written()) == values(numbered(1500))
    assert between.left() == []


def test_a_run_that_failed_gives_its_messages_back_when_its_process_ends(pubsub: Service) -> None:
    between = Between(pubsub, 150)
    assert start("straight", pubsub.uri(between.source, idle="1"), pubsub.uri("no-such-topic")).wait() == 1
    assert values(between.left(2)) == values(numbered(150))


def test_a_failure_behind_a_group_by_key_loses_nothing(pubsub: Service, pipeline: Callable[..., beam.Pipeline]) -> None:
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
    between.run(pipeline(), work.with_workers(2))  # In processes that hold no lease; the Beam worker does.
    assert values(between.written()) == values(numbered(1500))
    assert between.left() == []


def test_a_run_ends_although_the_topic_never_rests(pubsub: Service) -> None:
    between = Between(pubsub, 10)
    between.run(beam.Pipeline("FnApiRunner"), Talking(pubsub.uri(between.topic)))
    written = values(between.written())
    assert written[:10] == values(numbered(10))
    assert set(written[10:]) == {b"later"}


@pytest.mark.parametrize("form", ["straight", "grouped"])
def test_after_20_kills_every_message_has_its_output_and_one_id(pubsub: Service, form: str) -> None:
    between, kills, count = Between(pubsub), 0, 0
    moments = random.Random(7)  # The same in every run.
    while kills < 20:
        new = [Message(b"%d" % n) for n in range(count, count + 150)]
        assert publish(pubsub.uri(between.topic), new) == []
        count += len(new)
        child = start(form, pubsub.uri(between.source, idle="1"), pubsub.uri(between.target))
        kills += killed(child, moments.uniform(1, 9))
    between.run_out(form)

    written = between.written()
    ids = {message.attribute("message_id"): message.value for message in written}
    assert set(values(written)) == set(values(numbered(count)))
    assert sorted(ids.values()) == sorted(values(numbered(count)))


def first_read(uri: str) -> None:
    """Pulls once."""
    queue = open_queue(uri)
    next(queue.read(queue.splits()[0]))


def test_a_missing_subscription_and_a_missing_topic_are_named(pubsub: Service) -> None:
    uri = pubsub.uri("nobody")
    with pytest.raises(
        QueueError, match=r"Pub/Sub at 127.* has no subscription 'nobody' in the project 'tests'; creat"
    ):
        first_read(uri)
    with pytest.raises(QueueError, match="has no topic 'nobody' in the project 'tests'; create the topic or correct"):
        publish(uri, numbered(1))
    with pytest.raises(QueueError, match="has no subscription 'nobody' in the project"):
        open_queue(uri).commit([Position("some-id", 1)])


def test_a_project_without_permission_is_named_with_the_role_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with server.running(denied=["Pull", "Publish"]) as service:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", service.endpoint)
        topic = service.topic()
        with pytest.raises(
            QueueError, match=r"may not read the subscription .* of the project 'tests'; grant .*subscr"
        ):
            first_read(service.uri(service.subscription(topic)))
        with pytest.raises(QueueError, match=rf"may not publish to the topic '{topic}' .*roles/pubsub.publisher there"):
            publish(service.uri(topic), numbered(1))


@pytest.mark.timeout(30)
def test_an_emulator_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", endpoint)
    sentence = f"no answer from Pub/Sub at {endpoint} within 8 s; check PUBSUB_EMULATOR_HOST={endpoint}"
    with pytest.raises(QueueError, match=sentence):
        first_read("pubsub://tests/orders")
    with pytest.raises(QueueError, match=sentence):
        publish("pubsub://tests/orders", numbered(1))


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(
        QueueError, match=r"no valid Google credentials to open the queue pubsub://tests/orders; name a"
    ):
        first_read("pubsub://tests/orders")


def wait_for(between: Between, seen: set[bytes], wanted: set[bytes]) -> set[bytes]:
    """Takes from the target until all that is wanted has been seen."""
    deadline = time.monotonic() + 300
    while not wanted <= seen:
        assert time.monotonic() < deadline, f"{len(wanted - seen)} messages have not been written"
        seen |= {message.value or b"" for message in between.written()}
    return seen


def test_a_stream_acknowledges_what_it_has_written_and_goes_on(
    pubsub: Service, streaming: Callable[[], beam.Pipeline]
) -> None:
    between = Between(pubsub, 1500)
    p = streaming()
    messages = p | ReadFromQueue(pubsub.uri(between.source))
    _ = messages | Straight() | WriteToQueue(pubsub.uri(between.target)) | CommitOffsets(messages)
    result = p.run()
    try:
        first = set(values(numbered(1500)))
        wait_for(between, set(), first)
        second = [Message(b"second %d" % n) for n in range(1500)]
        assert publish(pubsub.uri(between.topic), second) == []
        wait_for(between, set(), first | set(values(second)))
    finally:
        result.cancel()
    assert between.left() == []


def test_a_stream_that_is_killed_loses_nothing(pubsub: Service, prism_endpoint: str) -> None:
    between, moments = Between(pubsub, 3000), random.Random(7)
    queues = pubsub.uri(between.source), pubsub.uri(between.target)
    for _ in range(5):
        assert killed(start("stream", *queues, prism_endpoint), moments.uniform(4, 12))
    between.run_out("straight")

    written = between.written()
    ids = {message.attribute("message_id"): message.value for message in written}
    assert set(values(written)) == set(values(numbered(3000)))
    assert sorted(ids.values()) == sorted(values(numbered(3000)))
