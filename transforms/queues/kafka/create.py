"""Making Kafka topics, by kafka-python, which is always installed: it matters to nobody how fast that is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ...base.errors import QueueError
from .clients import Address, unreachable

__all__ = ["Wanted", "create"]

_EXISTS = 36  # TOPIC_ALREADY_EXISTS, in Kafka's protocol.


class Wanted(NamedTuple):
    """What a URI says of a topic; -1 is the broker's usual."""

    partitions: int
    replication: int
    config: Mapping[str, str]

    @property
    def options(self) -> dict[str, Any]:
        """As the client takes them."""
        return {"num_partitions": self.partitions, "replication_factor": self.replication, "configs": dict(self.config)}


def create(address: Address, topics: list[str], wanted: Wanted) -> None:
    """Makes the topics; one that is there stays as it is, and a QueueError says where it differs."""
    from kafka import KafkaAdminClient

    from .kafka_python import addressed

    with _sentences(address, topics), KafkaAdminClient(**addressed(address)) as admin:
        made = admin.create_topics(dict.fromkeys(topics, wanted.options), raise_errors=False)
        for answer in made["topics"]:
            if answer["error_code"] == _EXISTS:
                _same(admin, address, answer["name"], wanted)
            elif answer["error_code"]:
                raise _refused(address, answer["name"], answer)
        admin.wait_for_topics(topics)


def _same(admin: Any, address: Address, topic: str, wanted: Wanted) -> None:
    found = _found(admin, topic, wanted)
    asked = {"partitions": wanted.partitions, "replication": wanted.replication, **wanted.config}
    differs = [f"{name}={found[name]}, not {value}" for name, value in asked.items() if value not in (-1, found[name])]
    if differs:
        raise QueueError(
            f"the topic {topic!r} at {address.servers} is there already, with {' and '.join(differs)}; it was left as "
            f"it is: change it with Kafka's tools, or correct the queue {address.uri}"
        )


def _found(admin: Any, topic: str, wanted: Wanted) -> dict[str, Any]:
    from kafka.admin import ConfigResource, ConfigResourceType

    (described,) = admin.describe_topics([topic])
    partitions = described["partitions"]
    found: dict[str, Any] = {"partitions": len(partitions), "replication": len(partitions[0]["replica_nodes"])}
    if wanted.config:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(wanted.config))
        configs = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        found |= {name: configs[name]["value"] if name in configs else "unknown" for name in wanted.config}
    return found


def _refused(address: Address, topic: str, answer: Mapping[str, Any]) -> QueueError:
    from kafka import errors

    kind = errors.for_code(answer["error_code"])
    said = answer["error_message"] or kind.description
    return QueueError(
        f"Kafka at {address.servers} does not make the topic {topic!r}: {said} ({kind.__name__}); correct the queue "
        f"{address.uri}, or ask for the right to create it"
    )


@contextmanager
def _sentences(address: Address, topics: list[str]) -> Iterator[None]:
    from kafka import errors

    from .kafka_python import UNREACHED

    try:
        yield
    except UNREACHED as error:
        raise unreachable(address, error) from None
    except errors.KafkaError as error:
        raise QueueError(
            f"can't create {', '.join(topics)} at {address.servers}: {error} ({type(error).__name__}); "
            f"see the queue {address.uri}"
        ) from None
