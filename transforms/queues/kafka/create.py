"""Creates Kafka topics with kafka-python, which is always installed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType

from ...base.errors import QueueError
from .clients import Address
from .kafka_python import client_config, queue_errors

__all__ = ["TopicSpec", "create_topics"]

_EXISTS = 36  # TOPIC_ALREADY_EXISTS, in Kafka's protocol.


class TopicSpec(NamedTuple):
    """What a URI specifies of a topic; -1 is the broker's default."""

    partitions: int
    replication: int
    config: Mapping[str, str]


def create_topics(address: Address, topics: list[str], spec: TopicSpec) -> None:
    """Creates the topics. An existing topic is not changed: raises QueueError where it differs."""
    options = {"num_partitions": spec.partitions, "replication_factor": spec.replication, "configs": dict(spec.config)}
    with queue_errors(address, "create"), KafkaAdminClient(**client_config(address)) as admin:
        created = admin.create_topics(dict.fromkeys(topics, options), raise_errors=False)
        for answer in created["topics"]:
            if answer["error_code"] == _EXISTS:
                _check_same(admin, address, answer["name"], spec)
            elif answer["error_code"]:
                raise _refusal(address, answer["name"], answer)
        admin.wait_for_topics(topics)


def _check_same(admin: Any, address: Address, topic: str, spec: TopicSpec) -> None:
    actual = _described(admin, topic, spec)
    wanted = {"partitions": spec.partitions, "replication": spec.replication, **spec.config}
    differs = [
        f"{name}={actual[name]}, not {value}" for name, value in wanted.items() if value not in (-1, actual[name])
    ]
    if differs:
        raise QueueError(
            f"the topic {topic!r} at {address.servers} exists already, with {' and '.join(differs)}; it was not "
            f"changed: change it with Kafka's tools, or correct the queue {address.uri}"
        )


def _described(admin: Any, topic: str, spec: TopicSpec) -> dict[str, Any]:
    (described,) = admin.describe_topics([topic])
    partitions = described["partitions"]
    actual: dict[str, Any] = {"partitions": len(partitions), "replication": len(partitions[0]["replica_nodes"])}
    if spec.config:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(spec.config))
        configs = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        actual |= {name: configs[name]["value"] if name in configs else "unknown" for name in spec.config}
    return actual


def _refusal(address: Address, topic: str, answer: Mapping[str, Any]) -> QueueError:
    kind = errors.for_code(answer["error_code"])
    reason = answer["error_message"] or kind.description
    return QueueError(
        f"Kafka at {address.servers} refuses to create the topic {topic!r}: {reason} ({kind.__name__}); correct the "
        f"queue {address.uri}, or ask for permission to create it"
    )
