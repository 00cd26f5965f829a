"""kafka://host:port/topic?group=name: topics of a Kafka cluster."""

import copy
import re
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from urllib.parse import quote, urlencode

from ...base.message import Message
from ..parameters import Parameter, number, one_of
from ..queue import Queue, Writer
from ..uri import QueueUri
from .clients import client
from .follow import FollowTopics
from .reading import TopicsReader
from .topics_writer import TopicsWriter

__all__ = ["KafkaQueue"]


def _start(text: str) -> str | float:
    if text in ("earliest", "latest"):
        return text
    try:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
    except ValueError:
        raise ValueError("write earliest, latest, or a time such as 2026-01-31T00:00:00Z") from None


_CODECS = one_of("lz4", "zstd", "snappy", "gzip", "none")
_LINGER = number("milliseconds", "linger=50")
_PATIENCE = number("seconds, 5 or more", "patience=120", least=5)
_PARTITIONS = number("a number", "partitions=3", least=1)
_REPLICATION = number("a number", "replication=3", least=1)


class KafkaQueue(TopicsReader):
    """Topics of a Kafka cluster: `kafka://a:9092,b:9092/orders,returns?group=shipping`.

    For `queue create` the URI may also have settings of the topic, such as `retention.ms`: their names have a dot.
    """

    parameters = (
        Parameter("group", "The consumer group; a run starts at its committed offsets. Needed for reading."),
        Parameter("start", "Where a group without offsets starts: `earliest`, `latest` or a time.", "earliest", _start),
        Parameter("time", "The field of a message's JSON that holds its time. Without it, the record's own time."),
        Parameter("compression", "Compression of written batches.", "lz4", _CODECS),
        Parameter("linger", "Milliseconds to wait for more messages before a batch is sent.", 50, _LINGER),
        Parameter("patience", "Seconds for which a run waits for brokers that went away.", 120, _PATIENCE),
        Parameter("partitions", "For `queue create`: number of partitions; default: the broker's.", None, _PARTITIONS),
        Parameter("replication", "For `queue create`: number of replicas; default: the broker's.", None, _REPLICATION),
        Parameter("settings", "File of security settings; default: the one that BEAM_PATTERNS_KAFKA_SETTINGS names."),
    )
    keeps_positions = True
    needs_group = True
    _choose: Callable[[Message], str] | None = None

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        for server in uri.host.split(","):
            if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]]+):\d{1,5}", server):
                raise ValueError(
                    f"the queue {uri.text} names the server {server!r}; write host:port, such as localhost:9092"
                )
        for topic in self.topics:
            self._check_name(topic)

    @classmethod
    def allows_parameter(cls, name: str) -> bool:
        """Whether the name is that of a topic's setting, for `create`: those have a dot."""
        return "." in name

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        return True

    def overlaps(self, other: Queue) -> bool:
        """Whether both name a common server and a common topic."""
        mine, theirs = ((q.uri.host.split(","), q.uri.path.strip("/").split(",")) for q in (self, other))
        common = all(not set(a).isdisjoint(b) for a, b in zip(mine, theirs, strict=True))
        return isinstance(other, KafkaQueue) and common

    def sibling(self, name: str) -> str:
        """Another topic of this cluster, with the same security settings."""
        query = urlencode({"settings": self.params["settings"]}) if self.params["settings"] else ""
        return f"kafka://{self.uri.host}/{quote(name, safe='{}')}{'?' if query else ''}{query}"

    def check_writable(self) -> None:
        if self._choose is None and len(self.topics) != 1:
            raise ValueError(f"the queue {self} names {len(self.topics)} topics; writing needs exactly one")

    def follow_transform(self) -> FollowTopics:
        return FollowTopics(self)

    def with_topics(self, choose: Callable[[Message], str]) -> "KafkaQueue":
        changed = copy.copy(self)
        changed._choose = choose
        return changed

    def writer(self) -> Writer:
        """An idempotent producer that waits for all in-sync replicas; one per topic if `with_topics` was called."""
        if self._choose is not None:
            return TopicsWriter(self._choose, self._topic_writer)
        self.check_writable()
        return self._topic_writer(self.topics[0])

    def _topic_writer(self, topic: str) -> Writer:
        self._check_name(topic)
        address = self.address(self.params["group"] or "beam-patterns")  # Connecting needs a group's name.
        with closing(client().Reader(address)) as kafka:
            self.partitions(kafka, [topic])  # Raises if the topic is missing: a producer would create it.
        return client().Sender(address, topic, self.params["compression"], self.params["linger"])

    def create(self) -> None:
        """Creates the topics with the settings in the URI, or with the broker's defaults."""
        from .create import TopicSpec, create_topics

        config = {name: value for name, value in self.uri.params.items() if self.allows_parameter(name)}
        spec = TopicSpec(self.params["partitions"] or -1, self.params["replication"] or -1, config)
        create_topics(self.address(self.params["group"]), self.topics, spec)

    def _check_name(self, topic: object) -> None:
        if not isinstance(topic, str) or not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", topic):
            raise ValueError(
                f"the queue {self} names the topic {topic!r}; write kafka://host:port/topic, with letters, digits, "
                "dots, hyphens and underscores"
            )
