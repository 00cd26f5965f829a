"""Error messages for what Pub/Sub refuses."""

from pathlib import Path

import pytest

from beam_patterns.transforms.queues import Position, QueueError, open_queue
from tests.servers import free_port
from tests.servers import pubsub as server
from tests.servers.pubsub import Service
from tests.transforms.queues.pubsub.pubsub_between import numbered, publish

pytestmark = pytest.mark.integration


def test_a_missing_subscription_and_a_missing_topic_are_named(pubsub: Service) -> None:
    uri = pubsub.uri("missing")
    with pytest.raises(
        QueueError, match=r"Pub/Sub at 127.* has no subscription 'missing' in the project 'tests'; creat"
    ):
        first_read(uri)
    with pytest.raises(QueueError, match="has no topic 'missing' in the project 'tests'; create the topic or correct"):
        publish(uri, numbered(1))
    with pytest.raises(QueueError, match="has no subscription 'missing' in the project"):
        open_queue(uri).commit([Position("some-id", 1)])


def test_a_missing_permission_is_named_with_the_role_that_grants_it(monkeypatch: pytest.MonkeyPatch) -> None:
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


def first_read(uri: str) -> None:
    """Pulls one batch."""
    queue = open_queue(uri)
    next(queue.read(queue.splits()[0]))
