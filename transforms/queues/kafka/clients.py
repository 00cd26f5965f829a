"""The interface to a Kafka client library: confluent-kafka where it is installed, kafka-python otherwise."""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from importlib.util import find_spec
from typing import Any, NamedTuple

from ...base.errors import QueueError
from ...base.message import Message
from ..queue import Rejected, Writer
from .probe import probe

__all__ = [
    "TIMEOUT",
    "Address",
    "Bounds",
    "Connection",
    "DeliveryVerdict",
    "Failure",
    "NoTopicError",
    "Partition",
    "Producer",
    "UnreachableError",
    "client",
    "unreachable",
]

#: Seconds within which a server must answer a request; a wrong address is reported after this time.
TIMEOUT = 6.0
#: Environment variable that selects the library where both are installed.
_VARIABLE = "BEAM_PATTERNS_KAFKA_CLIENT"


class UnreachableError(QueueError):
    """No server answers, temporarily or permanently."""


class NoTopicError(QueueError):
    """The cluster has no such topic, or hides it from this user."""


class Address(NamedTuple):
    """How to connect."""

    uri: str
    """The queue's URI, for error messages."""
    servers: str
    group: str
    settings: Mapping[str, str]
    """Security settings under librdkafka's names."""
    patience: int
    """Seconds for which a run waits for brokers that went away."""


class DeliveryVerdict(Enum):
    """The meaning of a failed delivery."""

    REJECTED = "the brokers will never accept this message"
    BATCH_REJECTED = "the brokers will never accept this message, or another one that was sent with it"
    UNDELIVERED = "the brokers did not answer"


class Partition(NamedTuple):
    """One partition of a topic, written topic/number."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @staticmethod
    def parse(text: str) -> "Partition":
        """The inverse of `str`."""
        topic, number = text.split("/")
        return Partition(topic, int(number))


class Bounds(NamedTuple):
    """The first offset that a partition still has, and the offset after its last one."""

    first: int
    stop: int


class Connection(ABC):
    """Looks up, reads and commits offsets for a group without joining it. Raises QueueError."""

    #: The offset to read next, after compaction gaps and transaction markers.
    position: int

    @abstractmethod
    def topics(self) -> Mapping[str, list[Partition]]:
        """All topics of the cluster. Never creates one."""

    @abstractmethod
    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        """Where partitions begin and end, counting committed transactions only."""

    @abstractmethod
    def offsets_at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        """The first offset whose time is not before the timestamp; None if all are before it."""

    @abstractmethod
    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """The committed offsets of the group."""

    @abstractmethod
    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commits offsets for the group."""

    @abstractmethod
    def seek(self, partition: Partition, offset: int) -> None:
        """Reads this partition, and no other, from the offset on."""

    @abstractmethod
    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages, at most `most`; empty if none arrive in time."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection."""


#: A message that was not delivered, and the client's error.
Failure = tuple[Message, Any]


class Producer(Writer):
    """Writes to one topic. `flush` decides by the client's error codes what to do with failed deliveries."""

    def __init__(self, address: Address, topic: str) -> None:
        self._address, self._topic = address, topic
        self._failed: list[Failure] = []

    @abstractmethod
    def await_deliveries(self) -> None:
        """Returns when each message is delivered or in `_failed`."""

    @abstractmethod
    def verdict(self, error: Any) -> DeliveryVerdict:
        """The meaning of a delivery error."""

    @abstractmethod
    def describe(self, error: Any) -> str:
        """The error as text."""

    def flush(self) -> list[Rejected]:
        """Waits for all deliveries. A rejected batch is sent again in halves until the bad messages are isolated."""
        rejected, suspects = self._failures()
        groups = [suspects]
        while groups:
            group = groups.pop()
            middle = len(group) // 2
            for half in filter(None, (group[:middle], group[middle:])):
                self.write([message for message, _ in half])
                more, suspects = self._failures()
                rejected += more
                if len(half) == 1:
                    rejected += suspects
                else:
                    groups.append(suspects)
        return [
            Rejected(message, QueueError(f"topic {self._topic!r} rejects the message: {self.describe(error)}"))
            for message, error in rejected
        ]

    def _failures(self) -> tuple[list[Failure], list[Failure]]:
        """The messages that were rejected, and those whose batch was rejected, since the last call."""
        self.await_deliveries()
        failed, self._failed = self._failed, []
        by_verdict: dict[DeliveryVerdict, list[Failure]] = {verdict: [] for verdict in DeliveryVerdict}
        for failure in failed:
            by_verdict[self.verdict(failure[1])].append(failure)
        for _, error in by_verdict[DeliveryVerdict.UNDELIVERED]:
            raise QueueError(
                f"can't write to the queue {self._address.uri}: Kafka at {self._address.servers} did not accept a "
                f"message: {self.describe(error)}; check that all brokers are up and enough replicas are in sync"
            )
        return by_verdict[DeliveryVerdict.REJECTED], by_verdict[DeliveryVerdict.BATCH_REJECTED]


def client() -> Any:
    """The module of the library in use: Reader(address) is a Connection, Sender(address, topic, ...) a Producer."""
    chosen = os.environ.get(_VARIABLE) or ("confluent" if find_spec("confluent_kafka") else "kafka-python")
    modules = {"confluent": "confluent", "kafka-python": "kafka_python"}
    if chosen not in modules:
        raise ValueError(f"{_VARIABLE}={chosen} is none of {', '.join(modules)}")
    return importlib.import_module(f".{modules[chosen]}", __package__)


def unreachable(address: Address, reason: object) -> UnreachableError:
    """The error for servers that do not answer, with the result of a test connection to each of them."""
    found = "; ".join(f"{server}: {probe(server, address.settings)}" for server in address.servers.split(","))
    return UnreachableError(
        f"no answer from Kafka ({found}) within {TIMEOUT:.0f} s; check host and port of the queue {address.uri}, and "
        f"the TLS and SASL settings if the server requires them; the client reported: {reason}"
    )
