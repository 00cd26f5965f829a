"""Helpers for the Pub/Sub tests: a topic to read, a topic to write, and runs between them."""

import subprocess
import sys
from typing import Any

import apache_beam as beam

from beam_patterns.transforms.queues import Message, Rejected, open_queue
from tests import ROOT
from tests.servers.pubsub import Service
from tests.transforms.queues.pubsub.pubsub_run import Straight, run

#: Seconds until messages that a killed run had pulled are delivered again.
LEASE = 20


def publish(uri: str, messages: list[Message]) -> list[Rejected]:
    """Writes messages and returns those that were rejected."""
    writer = open_queue(uri).writer()
    writer.write(messages)
    rejected = writer.flush()
    writer.close()
    return list(rejected)


def pending(uri: str) -> list[Message]:
    """The messages in a subscription, without acknowledging them."""
    queue = open_queue(uri)
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def numbered(count: int) -> list[Message]:
    """Messages 0, 1, 2, ..."""
    return [Message(b"%d" % n) for n in range(count)]


def values(messages: list[Message]) -> list[bytes]:
    """The payloads, sorted."""
    return sorted((message.value or b"" for message in messages), key=lambda value: (len(value), value))


def bare(messages: list[Message]) -> list[tuple[object, ...]]:
    """Value, key and attributes without the id that writing adds, sorted."""
    rows = [(m.value, m.key, sorted(a for a in m.attributes if a[0] != "message_id")) for m in messages]
    return sorted(rows, key=repr)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Starts a run in a new process."""
    command = [sys.executable, "-m", "tests.transforms.queues.pubsub.pubsub_run", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kills a run after some seconds. Returns False if it had ended before."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    return False


class Between:
    """A topic with a subscription to read, and a topic to write with a subscription to inspect."""

    def __init__(self, service: Service, count: int = 0, **settings: Any) -> None:
        topic, self.target = service.topic(), service.topic()
        self.source, self._seen = service.subscription(topic, **settings), service.subscription(self.target)
        self._service = service
        assert publish(service.uri(topic), numbered(count)) == []
        self.topic = topic

    def run(self, p: beam.Pipeline, flow: beam.PTransform | None = None, idle: int = 2) -> None:
        """Runs a flow from the source to the target."""
        run(p, flow or Straight(), self._service.uri(self.source, idle=str(idle)), self._service.uri(self.target))

    def run_out(self, form: str) -> None:
        """Runs until no messages are left: a machine that pauses longer than a lease gets messages again."""
        source = self._service.uri(self.source, idle=str(LEASE + 5))
        for _ in range(5):
            assert start(form, source, self._service.uri(self.target)).wait() == 0
            if not self.left():
                return
        raise AssertionError("after five runs there are still messages to read")

    def written(self) -> list[Message]:
        """The messages in the target."""
        return pending(self._service.uri(self._seen, idle="3"))

    def left(self, idle: int = 11) -> list[Message]:
        """The messages that are delivered again after the deadline of 10 seconds."""
        return pending(self._service.uri(self.source, idle=str(idle)))
