"""pubsub://project/subscription to read, pubsub://project/topic to write: Google Cloud Pub/Sub."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from ...base.message import Message
from ..queue import Position, Queue, Split, Writer
from ..uri import QueueUri
from .client import Resource, create
from .follow import FollowSubscription
from .lease import leases_of
from .read import ReadFromSubscription, listen, look
from .write import Publisher

__all__ = ["PubSubQueue"]

_IDLE = 30.0


class PubSubQueue(Queue):
    """A subscription or a topic of Google Cloud Pub/Sub: `pubsub://project/name`.

    Reading takes a subscription, writing a topic; both must be there. Credentials are found as all of Google's clients
    find them (GOOGLE_APPLICATION_CREDENTIALS, the machine's account); PUBSUB_EMULATOR_HOST names an emulator.

    Pub/Sub does not say how much there is. A bounded read ends when for `idle` seconds (30 by default) there came no
    message that was published before the run began. Messages that a killed run had pulled come again after 20 seconds,
    which is why `idle` should be longer; a shorter one leaves them for the next run.

    `topic` is for `create`: the topic that the subscription gets its messages from. `time` is the JSON field that says
    a message's time, which is when it was published otherwise.
    """

    keeps_positions = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        uri.only("idle", "topic", "time")
        self._project, self._name = _named(uri)
        self._idle = _idle(uri)
        self._topic = uri.params.get("topic", "")
        self.time_field = uri.params.get("time", "")

    def splits(self) -> list[Split]:
        """The whole subscription; how much is in it is not known."""
        return [Split(self._subscription.path, 0, 2**63 - 1)]

    def read(self, split: Split) -> Iterator[list[Message]]:
        """Looks at what there is without taking it: everything is given back at the end."""
        return look(self._subscription, self._idle)

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledges batches; a position's partition is what the batch's messages are acknowledged by."""
        leases_of(self._subscription).acknowledge([position.partition for position in positions])

    def writer(self) -> Writer:
        """Publishes, many messages per request."""
        return Publisher(self._written)

    def create(self) -> None:
        """Makes the topic, or with `?topic=` a subscription of that topic."""
        create(self._subscription if self._topic else self._written, self._topic)

    def listen(self) -> Iterator[list[Message]]:
        """Messages as they come, for ever; acknowledged when the next ones are asked for."""
        return listen(self._subscription)

    def read_transform(self, handler: Any) -> beam.PTransform:
        """Pulls under leases, which CommitOffsets turns into acknowledgements."""
        return ReadFromSubscription(self._subscription, self._idle)

    def follow_transform(self) -> beam.PTransform:
        """Pulls for ever; a checkpoint of the runner acknowledges."""
        return FollowSubscription(self._subscription)

    @property
    def _written(self) -> Resource:
        return Resource(str(self), self._project, "topic", self._name)

    @property
    def _subscription(self) -> Resource:
        return Resource(str(self), self._project, "subscription", self._name)


def _named(uri: QueueUri) -> tuple[str, str]:
    name = uri.path.removeprefix("/")
    if not re.fullmatch(r"[a-zA-Z0-9.:_-]+", uri.host) or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9._~+%-]{2,254}", name):
        raise ValueError(
            f"the queue {uri.text} names no project and subscription or topic; write pubsub://project/name, the name "
            "with 3 to 255 letters, digits, and ._~+%-, beginning with a letter"
        )
    if name.startswith("goog"):
        raise ValueError(f"the queue {uri.text} has a name that begins with goog, which Pub/Sub keeps for itself")
    return uri.host, name


def _idle(uri: QueueUri) -> float:
    text = uri.params.get("idle", str(_IDLE))
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) < 1:
        raise ValueError(f"the queue {uri.text} has idle={text}; write seconds, at least 1, such as idle=30")
    return float(text)
