"""Writing each message to a topic of its own choice."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from ...base.message import Message
from ..queue import Rejected, Writer
from .clients import NoTopicError

__all__ = ["TopicsWriter"]


class TopicsWriter(Writer):
    """A writer for each topic that occurs; what names no possible topic is rejected alone."""

    def __init__(self, choose: Callable[[Message], str], open_topic: Callable[[str], Writer]) -> None:
        self._choose, self._open_topic = choose, open_topic
        self._writers: dict[str, Writer] = {}
        self._missing: dict[str, Exception] = {}
        self._rejected: list[Rejected] = []

    def write(self, messages: Sequence[Message]) -> None:
        """By topic; the order of a topic's messages stays."""
        chosen = defaultdict[str, list[Message]](list)
        for message in messages:
            try:
                chosen[self._choose(message)].append(message)
            except Exception as error:  # The user's code: it may fail on one of many.
                self._rejected.append(Rejected(message, error))
        for topic, several in chosen.items():
            writer = self._writer(topic)
            if writer is None:
                self._rejected += [Rejected(message, self._missing[topic]) for message in several]
            else:
                writer.write(several)

    def flush(self) -> Sequence[Rejected]:
        """All topics; a topic that was missing is asked for again by the next bundle."""
        rejected, self._rejected, self._missing = self._rejected, [], {}
        return rejected + [one for writer in self._writers.values() for one in writer.flush()]

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
