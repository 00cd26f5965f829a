"""A writer that writes each message to a topic that a function chooses."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from ...base.message import Message
from ..queue import Rejected, Writer
from .clients import NoTopicError

__all__ = ["TopicsWriter"]


class TopicsWriter(Writer):
    """Opens a writer for each topic. A message whose topic is missing or invalid is rejected alone."""

    def __init__(self, choose: Callable[[Message], str], open_topic: Callable[[str], Writer]) -> None:
        self._choose, self._open_topic = choose, open_topic
        self._writers: dict[str, Writer] = {}
        self._missing: dict[str, Exception] = {}
        self._rejected: list[Rejected] = []

    def write(self, messages: Sequence[Message]) -> None:
        chosen = defaultdict[str, list[Message]](list)
        for message in messages:
            try:
                chosen[self._choose(message)].append(message)
            except Exception as error:  # User code, which may fail on a single message.
                self._rejected.append(Rejected(message, error))
        for topic, messages in chosen.items():
            writer = self._writer(topic)
            if writer is None:
                self._rejected += [Rejected(message, self._missing[topic]) for message in messages]
            else:
                writer.write(messages)

    def flush(self) -> Sequence[Rejected]:
        """Flushes all topics. The next bundle looks up missing topics again."""
        rejected, self._rejected, self._missing = self._rejected, [], {}
        return rejected + [message for writer in self._writers.values() for message in writer.flush()]

    def close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()

    def _writer(self, topic: str) -> Writer | None:
        if topic not in self._writers and topic not in self._missing:
            try:
                self._writers[topic] = self._open_topic(topic)
            except (NoTopicError, ValueError) as error:
                self._missing[topic] = error
        return self._writers.get(topic)
