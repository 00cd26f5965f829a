"""memory://name: a queue in the memory of this process, for tests."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from ..base.message import Message
from .parameters import Parameter
from .queue import Position, Queue, Rejected, Split, Writer
from .uri import QueueUri

__all__ = ["MemoryQueue"]

_LOCK = threading.Lock()
_TOPICS: dict[str, list[Message]] = defaultdict(list)
_GROUPS: dict[tuple[str, str], int] = {}
_BATCH = 4096


class MemoryQueue(Queue):
    """A topic with one partition, `memory://orders?group=shipping`, which ends with the process.

    Works on runners whose workers run in this process, FnApiRunner and Prism's loopback, not on a cluster.
    """

    parameters = (Parameter("group", "The group, under which the read position is kept.", default="default"),)
    keeps_positions = True
    is_shared = False

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        self._topic, self._group = uri.host, self.params["group"]
        if not self._topic:
            raise ValueError(f"the queue {uri.text} has no name; write memory://name")

    def sibling(self, name: str) -> str:
        return f"memory://{quote(name, safe='{}')}"

    def splits(self) -> list[Split]:
        start, stop = _GROUPS.get((self._topic, self._group), 0), len(_TOPICS[self._topic])
        return [Split("0", start, stop)] if start < stop else []

    def read(self, split: Split) -> Iterator[list[Message]]:
        for start in range(split.start, split.stop, _BATCH):
            stop = min(start + _BATCH, split.stop)
            messages = _TOPICS[self._topic][start:stop]
            yield [m._replace(source=(self._topic, 0, start + i)) for i, m in enumerate(messages)]

    def commit(self, positions: Iterable[Position]) -> None:
        place = (self._topic, self._group)
        with _LOCK:
            _GROUPS[place] = max([_GROUPS.get(place, 0), *(position.offset for position in positions)])

    def writer(self) -> Writer:
        return _MemoryWriter(self._topic)


class _MemoryWriter(Writer):
    def __init__(self, topic: str) -> None:
        self._topic, self._unflushed = topic, list[Message]()

    def write(self, messages: Sequence[Message]) -> None:
        self._unflushed += messages

    def flush(self) -> list[Rejected]:
        with _LOCK:
            _TOPICS[self._topic] += self._unflushed
        self._unflushed = []
        return []
