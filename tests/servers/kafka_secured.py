"""A Kafka broker with listeners for TLS, TLS with an expired certificate, and SASL over TLS."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from . import free_port, need
from .kafka import Broker, Cluster

PASSWORD = "correct-horse"
_LISTENERS = ("TLS", "EXPIRED", "SASL")


class Secured(NamedTuple):
    """The cluster, the port of each listener, and the folder with ca.pem, other-ca.pem, client.pem and client.key."""

    cluster: Cluster
    ports: dict[str, int]
    folder: Path


def allow(secured: Secured, user: str, topic: str, operation: str) -> None:
    """Allows one operation on a topic; from then on all others are denied."""
    from kafka import KafkaAdminClient
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

    resource = ResourcePattern(ResourceType.TOPIC, topic)
    with KafkaAdminClient(bootstrap_servers=secured.cluster.servers) as admin:
        admin.create_acls([ACL(f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, resource)])


@contextmanager
def running() -> Iterator[Secured]:
    """A broker whose plain listener is for creating topics."""
    with TemporaryDirectory(prefix="kafka-") as name:
        folder = Path(name)
        _certificates(folder)
        port, voters = free_port(), {1: free_port()}
        ports = {listener: free_port() for listener in _LISTENERS}
        broker = Broker(folder / "broker", 1, port, voters)
        broker.configure(_settings(folder, port, voters[1], ports))
        broker.format("--add-scram", f"SCRAM-SHA-512=[name=bob,password={PASSWORD}]")
        cluster = Cluster([broker])
        try:
            cluster.start()
            yield Secured(cluster, ports, folder)
        finally:
            cluster.kill()


def _settings(folder: Path, port: int, controller: int, ports: dict[str, int]) -> dict[str, object]:
    own = ",".join(f"{name}://127.0.0.1:{number}" for name, number in {"PLAINTEXT": port, **ports}.items())
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    return {
        "listeners": f"{own},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": own,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,EXPIRED:SSL,SASL:SASL_SSL",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # The brokers, and tests on the plain listener.
        "allow.everyone.if.no.acl.found": "true",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "server.store",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "ca.pem",
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.expired.ssl.keystore.type": "PEM",
        "listener.name.expired.ssl.keystore.location": folder / "expired.store",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": f'{plain} user_ann="{PASSWORD}";',
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }


def _certificates(folder: Path) -> None:
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for authority in ("ca", "other-ca"):
        _openssl(folder, f"req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN={authority}"
                 f" -keyout {authority}.key -out {authority}.pem")  # fmt: skip
    for name, days in {"server": 2, "client": 2, "expired": 0}.items():
        _openssl(folder, f"req -nodes -newkey rsa:2048 -subj /CN={name} -keyout {name}.key -out {name}.csr")
        _openssl(folder, f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days}"
                 f" -extfile san -out {name}.pem")  # fmt: skip
        (folder / f"{name}.store").write_text(
            (folder / f"{name}.key").read_text() + (folder / f"{name}.pem").read_text()
        )


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run([need("openssl"), *arguments.split()], cwd=folder, check=True, capture_output=True)
