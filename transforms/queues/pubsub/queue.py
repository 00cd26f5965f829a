"""pubsub://project/subscription to read, pubsub://project/topic to write: Google Cloud Pub/Sub."""

import re
from collections.abc import Iterable, Iterator

import apache_beam as beam

from ...base.message import Message
from ..parameters import Parameter, number
from ..queue import Position, Queue, Split, Writer
from ..uri import QueueUri
from .client import Resource, create
from .follow import FollowSubscription
from .lease import leases_of
from .read import ReadFromSubscription, listen, peek
from .write import Publisher

__all__ = ["PubSubQueue"]

_IDLE = number("seconds, at least 1", "idle=30", least=1, kind=float)


class PubSubQueue(Queue):
    """A subscription or a topic of Google Cloud Pub/Sub: `pubsub://project/name`.

    The name is a subscription for reading, and a topic for writing; both must exist. Credentials are found as by all of
    Google's clients (GOOGLE_APPLICATION_CREDENTIALS, the machine's account); PUBSUB_EMULATOR_HOST names an emulator.

    Pub/Sub does not tell how many messages there are. A bounded read ends when no message that was published before the
    run has arrived for `idle` seconds, 30 by default. Messages that a killed run had pulled are delivered again after
    20 seconds, so `idle` should be longer; a shorter one leaves them for the next run.
    """

    parameters = (
        Parameter("idle", "Seconds that a bounded read waits for another message from before the run.", 30, _IDLE),
        Parameter("topic", "The subscription's topic: for `queue create`, and where a replay puts letters back."),
        Parameter("time", "The field of a message's JSON that holds its time. Without it, the publish time."),
    )
    keeps_positions = True
    counts_messages = False

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        self._project, self._name = _project_and_name(uri)
        self._idle, self._topic = self.params["idle"], self.params["topic"]
        self._subscription = Resource(uri.text, self._project, "subscription", self._name)
        self._topic_resource = self._subscription._replace(kind="topic")

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        return True

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        return prefix + name  # A subscription needs no group.

    def overlaps(self, other: Queue) -> bool:
        """Whether both name a common subscription or topic."""
        mine, theirs = ({q.uri.path.strip("/"), q.uri.params.get("topic")} - {None} for q in (self, other))
        return isinstance(other, PubSubQueue) and self._project == other._project and not mine.isdisjoint(theirs)

    def read_uri(self, group: str) -> str:
        """The URI of a subscription of this topic, with a placeholder for its name."""
        return f"pubsub://{self._project}/SUBSCRIPTION?topic={self._name}"

    def append_uri(self) -> str:
        """The URI of the subscription's topic. Raises ValueError if this URI does not name it."""
        if not self._topic:
            more = "&" if self.uri.params else "?"
            raise ValueError(f"{self} is a subscription, and messages are appended to its topic; add {more}topic=NAME")
        return f"pubsub://{self._project}/{self._topic}"

    def splits(self) -> list[Split]:
        """One split for the whole subscription, whose number of messages is unknown."""
        return [Split(self._subscription.path, 0, 2**63 - 1)]

    def read(self, split: Split) -> Iterator[list[Message]]:
        """The current messages without acknowledging them: they are released at the end."""
        return peek(self._subscription, self._idle)

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledges batches. A position's partition holds the ids that acknowledge a batch."""
        leases_of(self._subscription).acknowledge([position.partition for position in positions])

    def writer(self) -> Writer:
        return Publisher(self._topic_resource)

    def create(self) -> None:
        """Creates the topic, or with `?topic=` a subscription of that topic."""
        create(self._subscription if self._topic else self._topic_resource, self._topic)

    def listen(self) -> Iterator[list[Message]]:
        return listen(self._subscription)

    def read_transform(self) -> beam.PTransform:
        """Pulls and keeps leases until CommitOffsets acknowledges."""
        return ReadFromSubscription(self._subscription, self._idle)

    def follow_transform(self) -> beam.PTransform:
        """Pulls without end. The runner's checkpoints acknowledge."""
        return FollowSubscription(self._subscription)


def _project_and_name(uri: QueueUri) -> tuple[str, str]:
    name = uri.path.removeprefix("/")
    if not re.fullmatch(r"[a-zA-Z0-9.:_-]+", uri.host) or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9._~+%-]{2,254}", name):
        raise ValueError(
            f"the queue {uri.text} names no project and subscription or topic; write pubsub://project/name, with a "
            "name of 3 to 255 letters, digits, and ._~+%-, beginning with a letter"
        )
    if name.startswith("goog"):
        raise ValueError(f"the queue {uri.text} has a name that begins with goog, which Pub/Sub reserves")
    return uri.host, name
