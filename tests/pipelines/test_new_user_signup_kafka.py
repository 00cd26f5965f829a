"""The sign-up flow over a real Kafka broker."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_patterns.transforms.dead_letters import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from tests.servers import wait_until
from tests.servers.kafka import Cluster

from .signups import VERIFY, WELCOME, Place, as_json, confirmation, signup

pytestmark = pytest.mark.integration


class KafkaPlace(Place):
    """The queues to read are in Kafka; results go to SQLite and a Maildir."""

    def __init__(self, folder: Path, kafka: Cluster) -> None:
        self.topics = {name: kafka.topic(partitions=2) for name in ("signups", "confirmations", "pending", "dead")}
        self.kafka = kafka
        super().__init__(folder)
        for topic in ("subscriptions", "expired"):  # The test reads them before the first write.
            open_queue(self.uri(topic)).create()

    def queue(self, name: str, group: str = "new_user_signup") -> str:
        return self.kafka.uri(self.topics[name], group=group)

    def put(self, topic: str, *items: object) -> None:
        writer = open_queue(self.queue(topic)).writer()
        writer.write([Message(item if isinstance(item, bytes) else as_json(item)) for item in items])
        writer.flush()
        writer.close()

    def put_at(self, topic: str, moment: float, item: object) -> None:
        """Appends an item with a time of its own."""
        writer = open_queue(self.queue(topic)).writer()
        writer.write([Message(as_json(item), timestamp=moment)])
        writer.flush()
        writer.close()

    def arguments(self, *more: str) -> list[str]:
        read = ("signups", "confirmations") if "--streaming" in more else ("signups", "confirmations", "pending")
        named = {f"--{name}": self.queue(name) for name in read}
        named["--dead_letters"] = self.kafka.uri(self.topics["dead"])
        return super().arguments(*more, *(part for pair in named.items() for part in pair))

    def read(self, topic: str, group: str) -> list[Message]:
        queue = open_queue(self.queue(topic, group))
        return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def test_the_three_runs_over_kafka(kafka: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = KafkaPlace(tmp_path, kafka)
    place.put("signups", signup("ann"), signup("bob"), b"broken")
    place.put("confirmations", confirmation("ann"), confirmation("zoe"))
    assert place.run() == 0
    first = [("ann@example.com", VERIFY), ("ann@example.com", WELCOME), ("bob@example.com", VERIFY)]
    assert place.mailed() == first
    (dead,) = map(DeadLetter.from_message, place.read("dead", "test"))
    assert (dead.payload, dead.step, dead.source.split("/")[0]) == (b"broken", "CheckSignups", place.topics["signups"])
    capsys.readouterr()
    assert place.run() == 0
    assert "2 wait for their partner" in capsys.readouterr().out
    place.put("confirmations", confirmation("bob"))
    assert place.run() == 0
    assert place.mailed() == [*first, ("bob@example.com", WELCOME)]
    assert place.subscriptions() == [("ann", "email", "ann@example.com"), ("bob", "email", "bob@example.com")]
    assert [message.json()["user_id"] for message in place.read("pending", "new_user_signup")] == ["zoe"]


def test_a_stream_welcomes_confirmed_users_and_lets_the_other_records_expire(
    kafka: Cluster, tmp_path: Path, prism_endpoint: str
) -> None:
    place, long_ago = KafkaPlace(tmp_path, kafka), time.time() - 7200
    place.put("signups", signup("ann"), signup("bob", sms_opt_in=True), b"broken")
    place.put("confirmations", confirmation("ann"))
    place.put_at("signups", long_ago, signup("cho"))
    place.put_at("confirmations", long_ago, confirmation("zoe"))
    on_prism = ("--runner", "PortableRunner", "--job_endpoint", prism_endpoint, "--environment_type", "LOOPBACK")
    child = place.start(*on_prism, "--streaming", "true", "--expire_after", "1h")

    def wait_for(done: Callable[[], bool], what: str) -> None:
        wait_until(lambda: child.poll() is not None or done(), what)

    try:
        wait_for(lambda: len(place.mailed()) == 4, "three verified, one welcomed")
        place.put("confirmations", confirmation("bob"))
        wait_for(lambda: len(place.mailed()) == 5, "the user who confirmed later")
        wait_for(lambda: len(place.subscriptions()) == 3, "their subscriptions")
        wait_for(lambda: len(place.messages("expired")) == 2, "the records that waited too long")
        wait_for(lambda: bool(place.read("dead", "test")), "the dead letter")
    finally:
        child.kill()
        shown = child.communicate()[0]
    assert place.mailed() == [
        ("ann@example.com", VERIFY),
        ("ann@example.com", WELCOME),
        ("bob@example.com", VERIFY),
        ("bob@example.com", WELCOME),
        ("cho@example.com", VERIFY),
    ], shown
    assert place.subscriptions() == [
        ("ann", "email", "ann@example.com"),
        ("bob", "email", "bob@example.com"),
        ("bob", "sms", "+4930123456"),
    ]
    expired = place.messages("expired")
    assert sorted((m.json()["user_id"], m.attribute("signup.kind").decode()) for m in expired) == [
        ("cho", "sign-up"),
        ("zoe", "confirmation"),
    ]
    (dead,) = map(DeadLetter.from_message, place.read("dead", "test"))
    assert (dead.payload, dead.step) == (b"broken", "CheckSignups")
