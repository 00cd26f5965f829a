"""Kafka with TLS and SASL, with both clients."""

import re
from collections.abc import Iterator

import pytest

from beam_patterns.transforms.queues import QueueError, open_queue
from tests.servers import kafka_secured, wait_until
from tests.servers.kafka_secured import PASSWORD, Secured
from tests.transforms.queues.kafka.test_kafka import bare, client, orders, pending, publish, settle

__all__ = ["client"]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A broker with certificates."""
    with kafka_secured.running() as server:
        yield server


def uri(secured: Secured, listener: str, **settings: str) -> str:
    """The URI of a new topic at a listener, with a settings file."""
    file = secured.folder / "kafka.properties"
    file.write_text("".join(f"{name.replace('_', '.')}={value}\n" for name, value in settings.items()))
    topic = secured.cluster.topic()
    return f"kafka://127.0.0.1:{secured.ports[listener]}/{topic}?group=g&settings={file}"


def tls(secured: Secured, ca: str = "ca") -> dict[str, str]:
    """Settings for TLS with a client certificate."""
    return {
        "security_protocol": "SSL",
        "ssl_ca_location": str(secured.folder / f"{ca}.pem"),
        "ssl_certificate_location": str(secured.folder / "client.pem"),
        "ssl_key_location": str(secured.folder / "client.key"),
    }


def sasl(secured: Secured, mechanism: str, user: str, password: str = PASSWORD) -> dict[str, str]:
    """Settings for a user over TLS."""
    return {
        "security_protocol": "SASL_SSL",
        "ssl_ca_location": str(secured.folder / "ca.pem"),
        "sasl_mechanism": mechanism,
        "sasl_username": user,
        "sasl_password": password,
    }


def assert_works(queue: str) -> None:
    """Writes, reads and commits."""
    assert publish(queue, orders(range(100))) == []
    assert bare(pending(queue)) == bare(orders(range(100)))
    settle(queue)
    assert pending(queue) == []


def test_tls_with_a_private_authority_and_a_client_certificate(secured: Secured) -> None:
    assert_works(uri(secured, "TLS", **tls(secured)))


@pytest.mark.parametrize(("mechanism", "user"), [("PLAIN", "ann"), ("SCRAM-SHA-512", "bob")])
def test_users_with_passwords(secured: Secured, mechanism: str, user: str) -> None:
    assert_works(uri(secured, "SASL", **sasl(secured, mechanism, user)))


def assert_refused(queue: str, reason: str) -> None:
    """Asserts that the error is one sentence that names broker and settings file, but no secret."""
    with pytest.raises(QueueError, match=rf"no answer from Kafka \(127.0.0.1:\d+: .*{re.escape(queue)}") as refusal:
        open_queue(queue).splits()
    text = str(refusal.value)
    assert "\n" not in text
    assert re.search(reason, text, re.IGNORECASE)
    assert PASSWORD not in text
    assert "wrong-secret" not in text


@pytest.mark.timeout(60)
def test_a_wrong_authority_is_named(secured: Secured) -> None:
    assert_refused(
        uri(secured, "TLS", **tls(secured, "other-ca")), "its certificate is refused: .*issuer.*; check ssl.ca.location"
    )


@pytest.mark.timeout(60)
def test_an_expired_certificate_is_named(secured: Secured) -> None:
    assert_refused(
        uri(secured, "EXPIRED", **tls(secured)),
        "its certificate is refused: certificate has expired; check ssl.ca.location",
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_named_and_not_shown(secured: Secured, mechanism: str) -> None:
    assert_refused(uri(secured, "SASL", **sasl(secured, mechanism, "ann", "wrong-secret")), "authenticat|sasl")


@pytest.mark.timeout(60)
def test_the_error_of_a_plain_client_at_a_tls_listener_mentions_the_settings(secured: Secured) -> None:
    assert_refused(uri(secured, "TLS"), "TLS and SASL settings")


def test_a_topic_that_a_user_may_see_but_not_use_is_refused_with_a_sentence(secured: Secured) -> None:
    queue = uri(secured, "SASL", **sasl(secured, "SCRAM-SHA-512", "bob"))
    assert publish(queue, orders(range(3))) == []
    topic = queue.split("/")[3].partition("?")[0]
    kafka_secured.allow(secured, "bob", topic, "DESCRIBE")

    def refused() -> bool:  # It takes a while until brokers know.
        return [message for message, _ in publish(queue, orders(range(3)))] == orders(range(3))

    wait_until(refused, "the permission to write is revoked")
    ((_, reason),) = publish(queue, orders(range(1)))
    assert re.match(rf"topic '{topic}' rejects the message: .*author", reason, re.IGNORECASE | re.DOTALL)
    with pytest.raises(
        QueueError, match=rf"can't read the queue {re.escape(queue)} at 127.0.0.1:\d+ as group 'g': .*uthor"
    ):
        pending(queue)


def test_a_topic_that_a_user_may_not_see_is_reported_as_missing_or_hidden(secured: Secured) -> None:
    queue = uri(secured, "SASL", **sasl(secured, "SCRAM-SHA-512", "bob"))
    topic = queue.split("/")[3].partition("?")[0]
    kafka_secured.allow(secured, "ann", topic, "ALL")

    def hidden() -> bool:
        try:
            return open_queue(queue).splits() is None
        except QueueError as error:
            return f"has no topic {topic!r}, or hides it from this user" in str(error)

    wait_until(hidden, "the topic is hidden")
