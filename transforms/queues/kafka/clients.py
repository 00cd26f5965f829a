"""What the Kafka queue needs of a client library: confluent-kafka where it is installed, kafka-python otherwise."""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from importlib.util import find_spec
from typing import Any, NamedTuple, Self

from ...base.errors import QueueError
from ...base.message import Message
from ..queue import Rejected, Writer
from .probe import probe

__all__ = [
    "REACH",
    "Address",
    "Bounds",
    "Client",
    "Connection",
    "Failure",
    "NoTopicError",
    "Partition",
    "Producer",
    "UnreachableError",
    "Verdict",
    "client",
    "unreachable",
]

#: Seconds within which a server must answer at the start; a wrong address shows by then.
REACH = 6.0
#: Which library, where both are installed.
CLIENT = "BEAM_PATTERNS_KAFKA_CLIENT"


class UnreachableError(QueueError):
    """No server answers, at the moment or at all."""


class NoTopicError(QueueError):
    """The cluster has no such topic, or hides it."""


class Address(NamedTuple):
    """How a connection is made, and the URI that errors name."""

    uri: str
    servers: str
    group: str
    settings: Mapping[str, str]
    """Security settings under librdkafka's names."""
    patience: int
    """Seconds that a run under way waits for brokers that went away."""


class Verdict(Enum):
    """What the error of a delivery means."""

    REFUSED = "this message will never be taken"
    SPOILT = "this message, or another that was sent with it, will never be taken"
    LOST = "the brokers did not answer"


class Partition(NamedTuple):
    """One partition of a topic, written topic/number."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @staticmethod
    def parse(text: str) -> "Partition":
        """The partition that `str` wrote."""
        topic, number = text.split("/")
        return Partition(topic, int(number))


class Bounds(NamedTuple):
    """The first offset that a partition still has, and the one behind its last."""

    first: int
    stop: int


class Connection(ABC):
    """Looks up, reads and commits for a group, without joining it. Errors are QueueErrors."""

    #: The offset that is read next, behind compaction gaps and transaction markers.
    position: int

    @abstractmethod
    def topics(self) -> Mapping[str, list[Partition]]:
        """All topics of the cluster. Never creates one."""

    @abstractmethod
    def bounds(self, partitions: list[Partition]) -> Mapping[Partition, Bounds]:
        """Where they begin and end, of committed transactions."""

    @abstractmethod
    def at(self, partitions: list[Partition], timestamp: float) -> Mapping[Partition, int | None]:
        """The first offset that is not older than a time; None if all are."""

    @abstractmethod
    def committed(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """Where the group stands."""

    @abstractmethod
    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Puts the group there."""

    @abstractmethod
    def seek(self, partition: Partition, offset: int) -> None:
        """Reads this partition from there on, and no other."""

    @abstractmethod
    def poll(self, most: int, seconds: float) -> list[Message]:
        """The next messages; none if none came in time."""

    @abstractmethod
    def close(self) -> None:
        """Ends the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused_error: Any) -> None:
        self.close()


#: A message that was not delivered, and the client's error.
Failure = tuple[Message, Any]


class Producer(Writer):
    """Writes to one topic; what could not be delivered is judged in `flush`, by the client's own error codes."""

    def __init__(self, address: Address, topic: str) -> None:
        self._address, self._topic = address, topic
        self._failed: list[Failure] = []

    @abstractmethod
    def drain(self) -> None:
        """Returns when each message is delivered, or in `_failed`."""

    @abstractmethod
    def judge(self, error: Any) -> Verdict:
        """What a failed delivery means."""

    @abstractmethod
    def said(self, error: Any) -> str:
        """The client's words."""

    def flush(self) -> list[Rejected]:
        """A message that spoils its batch takes others with it: these go again in halves, until it stands alone."""
        refused, spoilt = self._taken()
        groups = [spoilt]
        while groups:
            group = groups.pop()
            middle = len(group) // 2
            for half in filter(None, (group[:middle], group[middle:])):
                self.write([message for message, _ in half])
                more, spoilt = self._taken()
                refused += more
                if len(half) == 1:
                    refused += spoilt
                else:
                    groups.append(spoilt)
        return [
            Rejected(message, QueueError(f"topic {self._topic!r} refuses the message: {self.said(error)}"))
            for message, error in refused
        ]

    def _taken(self) -> tuple[list[Failure], list[Failure]]:
        """What was refused, and what was spoilt, of all that was written."""
        self.drain()
        failed, self._failed = self._failed, []
        judged: dict[Verdict, list[Failure]] = {verdict: [] for verdict in Verdict}
        for failure in failed:
            judged[self.judge(failure[1])].append(failure)
        for _, error in judged[Verdict.LOST]:
            raise QueueError(
                f"can't write to the queue {self._address.uri}: Kafka at {self._address.servers} did not take a "
                f"message: {self.said(error)}; are all its brokers up, and enough replicas in sync?"
            )
        return judged[Verdict.REFUSED], judged[Verdict.SPOILT]


class Client(NamedTuple):
    """A library."""

    connect: type[Any]
    """Called with an Address: a Connection."""
    write: type[Any]
    """Called with an Address, a topic, a compression and milliseconds to linger: a Producer."""


def client() -> Client:
    """The library in use."""
    chosen = os.environ.get(CLIENT) or ("confluent" if find_spec("confluent_kafka") else "kafka-python")
    modules = {"confluent": "confluent", "kafka-python": "kafka_python"}
    if chosen not in modules:
        raise ValueError(f"{CLIENT}={chosen} is none of {', '.join(modules)}")
    module = importlib.import_module(f".{modules[chosen]}", __package__)
    return Client(module.Reader, module.Sender)


def unreachable(address: Address, said: object) -> UnreachableError:
    """The error for servers that don't answer, with what an operator would find out about each."""
    found = "; ".join(f"{server}: {probe(server, address.settings)}" for server in address.servers.split(","))
    return UnreachableError(
        f"no answer from Kafka ({found}) within {REACH:.0f} s; check host and port of the queue {address.uri}, and the "
        f"TLS and SASL settings if the server asks for them; the client said: {said}"
    )
