"""pubsub://project/subscription to read, pubsub://project/topic to write: Google Cloud Pub/Sub."""

import re
from collections.abc import Iterable, Iterator

import apache_beam as beam

from ...base.message import Message
from ..parameters import Parameter, seconds
from ..queue import Position, Queue, Split, Writer
from ..uri import QueueUri
from .client import Resource, create
from .follow import FollowSubscription
from .lease import leases_of
from .read import ReadFromSubscription, listen, look
from .write import Publisher

__all__ = ["PubSubQueue"]


class PubSubQueue(Queue):
    """A subscription or a topic of Google Cloud Pub/Sub: `pubsub://project/name`.

    Reading takes a subscription, writing a topic; both must be there. Credentials are found as all of Google's clients
    find them (GOOGLE_APPLICATION_CREDENTIALS, the machine's account); PUBSUB_EMULATOR_HOST names an emulator.

    Pub/Sub does not say how much there is. A bounded read ends when for `idle` seconds (30 by default) there came no
    message that was published before the run began. Messages that a killed run had pulled come again after 20 seconds,
    which is why `idle` should be longer; a shorter one leaves them for the next run.

    """

    parameters = (
        Parameter(
            "idle",
            "Seconds without a message from before the run after which a bounded read ends.",
            default=30.0,
            type=seconds(1, "idle=30"),
        ),
        Parameter(
            "topic", "For `queue create`: the topic of the subscription. For replay: where letters are put back."
        ),
        Parameter("time", "The field of a message's JSON that holds its time; default: when it was published."),
    )
    keeps_positions = True
    counts_messages = False

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        self._project, self._name = _named(uri)
        self._idle, self._topic = self.params["idle"], self.params["topic"]

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """The service can be reached from other machines."""
        return True

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        """Another topic; a subscription needs no group."""
        return prefix + name

    def read_uri(self, group: str) -> str:
        """A subscription of this topic, whose name is not known."""
        return f"pubsub://{self._project}/SUBSCRIPTION?topic={self._name}"

    def append_uri(self) -> str:
        """The subscription's topic."""
        if not self._topic:
            more = "&" if self.uri.params else "?"
            raise ValueError(
                f"{self} is a subscription, and messages are put back into its topic; add {more}topic=NAME"
            )
        return f"pubsub://{self._project}/{self._topic}"

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

    def read_transform(self) -> beam.PTransform:
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
