"""The event time that all partitions read in one process have reached."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from .kafka_clients import Partition

__all__ = ["Marks", "marks_of"]

#: Seconds that a partition which has not begun in this process is waited for; then it is read elsewhere.
_BEGIN = 10.0
#: Seconds after which a partition that was not read any more has moved elsewhere.
_MOVED = 120.0

_LOCK = threading.Lock()
_MARKS: dict[str, "Marks"] = {}


class Marks:
    """How far each partition is. Prism takes the watermark of whichever partition spoke last for that of all, so each
    speaks for all: the least of them. On runners that keep them apart that is right as well, only later."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._reached: dict[Partition, tuple[Timestamp, float]] = {}
        self._expected: set[Partition] = set()
        self._behind: dict[Partition, int] = {}

    def expect(self, partitions: Iterable[Partition]) -> None:
        """All that are read, here or elsewhere."""
        with _LOCK:
            self._expected.update(partitions)

    def reach(self, partition: Partition, to: Timestamp) -> Timestamp | None:
        """Says how far one partition is; returns how far all are, None while some have yet to begin."""
        now = time.monotonic()
        with _LOCK:
            known = self._reached.get(partition)
            self._reached[partition] = (max(to, known[0]) if known else to, now)
            here = {p: at for p, (at, heard) in self._reached.items() if now - heard < _MOVED}
            if now - self._begun < _BEGIN and not self._expected <= here.keys():
                return None
            return min(here.values())

    def behind(self, partition: Partition, messages: int) -> int:
        """Says how much one partition has yet to give; returns the sum for its topic, of what is read here."""
        with _LOCK:
            self._behind[partition] = messages
            return sum(number for p, number in self._behind.items() if p.topic == partition.topic)

    def pass_on(self, partition: Partition, to: Timestamp, watermark: Any) -> None:
        """To the runner, for which time never goes back."""
        reached, known = self.reach(partition, to), watermark.current_watermark()
        if reached is not None and (known is None or reached > known):
            watermark.set_watermark(reached)


def marks_of(reader: str) -> Marks:
    """The one of a reader, in this process."""
    with _LOCK:
        return _MARKS.setdefault(reader, Marks())
