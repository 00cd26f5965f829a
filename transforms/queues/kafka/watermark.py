"""The event time that all partitions read in one process have reached."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from .clients import Partition

__all__ = ["Marks", "marks_of"]

#: Seconds that a partition which has not begun in this process is waited for, from the last one that did; then it is
#: read elsewhere.
_BEGIN = 30.0
#: Seconds after which a partition that was not read any more has moved elsewhere, and how many more each partition
#: adds, as one may wait for a bundle of each other one.
_MOVED, _MOVED_EACH = 120.0, 2.0

_LOCK = threading.Lock()
_MARKS: dict[str, "Marks"] = {}


class Marks:
    """How far each partition is. Prism takes the watermark of whichever partition spoke last for that of all, so each
    speaks for all: the least of them. On runners that keep them apart that is right as well, only later.

    What others have reached counts when their bundle is durable, which shows as their next one begins: Prism runs
    bundles side by side, and would take for late what is in one that ends after the watermark has passed it.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._reached: dict[Partition, tuple[Timestamp, int]] = {}
        self._durable: dict[Partition, Timestamp] = {}
        self._heard: dict[Partition, float] = {}
        self._expected: set[Partition] = set()
        self._behind: dict[Partition, int] = {}

    def expect(self, partitions: Iterable[Partition]) -> None:
        """All that are read, here or elsewhere."""
        with _LOCK:
            self._expected.update(partitions)

    def begin(self, partition: Partition, offset: int) -> None:
        """A bundle starts at an offset: where the last one ended, or else that one was lost and is read again."""
        now = time.monotonic()
        with _LOCK:
            if partition not in self._heard:
                self._began = now
            self._heard[partition] = now
            to, stopped = self._reached.get(partition, (None, None))
            if to is not None and stopped == offset:
                self._durable[partition] = to
            else:
                self._reached.pop(partition, None)
                self._durable.pop(partition, None)

    def reach(self, partition: Partition, offset: int, to: Timestamp) -> Timestamp | None:
        """Says how far one partition is; returns how far all are, None while some have yet to begin."""
        now = time.monotonic()
        with _LOCK:
            known = self._reached.get(partition)
            own = max(to, known[0]) if known else to
            self._reached[partition], self._heard[partition] = (own, offset), now
            moved = now - _MOVED - _MOVED_EACH * len(self._expected)
            others = {p: at for p, at in self._durable.items() if p != partition and self._heard[p] > moved}
            if now - self._began < _BEGIN and not self._expected <= {partition, *others}:
                return None
            return min([own, *others.values()])

    def behind(self, partition: Partition, messages: int) -> int:
        """Says how much one partition has yet to give; returns the sum for its topic, of what is read here."""
        with _LOCK:
            self._behind[partition] = messages
            return sum(number for p, number in self._behind.items() if p.topic == partition.topic)

    def pass_on(self, partition: Partition, offset: int, to: Timestamp, watermark: Any) -> None:
        """To the runner, for which time never goes back."""
        reached, known = self.reach(partition, offset, to), watermark.current_watermark()
        if reached is not None and (known is None or reached > known):
            watermark.set_watermark(reached)


def marks_of(reader: str) -> Marks:
    """The one of a reader, in this process."""
    with _LOCK:
        return _MARKS.setdefault(reader, Marks())
