"""Kafka by TLS and SASL, with both clients."""

import re
from collections.abc import Iterator

import pytest

from beam_patterns.transforms.queues import QueueError, open_queue
from tests.queues.test_kafka import bare, client, orders, pending, publish, settle
from tests.servers import kafka_secured
from tests.servers.kafka_secured import PASSWORD, Secured

__all__ = ["client"]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """A broker with certificates."""
    with kafka_secured.running() as server:
        yield server


def uri(secured: Secured, listener: str, **settings: str) -> str:
    """A new topic behind a listener, with a settings file."""
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


def test_tls_with_an_own_authority_and_a_client_certificate(secured: Secured) -> None:
    assert_works(uri(secured, "TLS", **tls(secured)))


@pytest.mark.parametrize(("mechanism", "user"), [("PLAIN", "ann"), ("SCRAM-SHA-512", "bob")])
def test_users_with_passwords(secured: Secured, mechanism: str, user: str) -> None:
    assert_works(uri(secured, "SASL", **sasl(secured, mechanism, user)))


def assert_refused(queue: str, reason: str) -> None:
    """One sentence that names broker and settings file, and no secret."""
    with pytest.raises(QueueError, match=rf"no answer from Kafka \(127.0.0.1:\d+: .*{re.escape(queue)}") as refusal:
        open_queue(queue).splits()
    said = str(refusal.value)
    assert "\n" not in said
    assert re.search(reason, said, re.IGNORECASE)
    assert PASSWORD not in said
    assert "wrong-secret" not in said


@pytest.mark.timeout(60)
def test_a_wrong_authority_is_named(secured: Secured) -> None:
    assert_refused(
        uri(secured, "TLS", **tls(secured, "other-ca")), "its certificate is refused, .*issuer.*; see ssl.ca.location"
    )


@pytest.mark.timeout(60)
def test_an_expired_certificate_is_named(secured: Secured) -> None:
    assert_refused(
        uri(secured, "EXPIRED", **tls(secured)),
        "its certificate is refused, certificate has expired; see ssl.ca.location",
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_named_and_not_shown(secured: Secured, mechanism: str) -> None:
    assert_refused(uri(secured, "SASL", **sasl(secured, mechanism, "ann", "wrong-secret")), "authenticat|sasl")


@pytest.mark.timeout(60)
def test_a_plain_client_at_a_tls_listener_is_told_of_the_settings(secured: Secured) -> None:
    assert_refused(uri(secured, "TLS"), "TLS and SASL settings")
