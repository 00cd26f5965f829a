"""The minimum of the watermarks of all partitions that one process reads."""

import threading
import time
from collections.abc import Iterable
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from .clients import Partition

__all__ = ["MinWatermark", "min_watermark_of"]

#: Seconds to wait for partitions that have not begun in this process, counted from the last one that began. Partitions
#: that have not begun by then are read elsewhere.
_BEGIN = 30.0
#: Seconds after which an unread partition counts as moved elsewhere, and the seconds added for each
#: partition, since one may wait for a bundle of every other one.
_MOVED, _MOVED_EACH = 120.0, 2.0

_LOCK = threading.Lock()
_BY_READER: dict[str, "MinWatermark"] = {}


class MinWatermark:
    """Combines the watermarks of partitions: each partition reports the minimum of all to the runner.

    Prism uses the last reported watermark of any partition for all partitions, so each must report the minimum. On
    runners that keep watermarks apart the minimum is right too, but later.

    The watermark of another partition counts once its bundle is durable, which shows when its next bundle begins. Prism
    runs bundles in parallel: elements of a bundle are late if the watermark passes them before that bundle ends.
    """

    def __init__(self) -> None:
        self._last_begin = time.monotonic()
        self._reached: dict[Partition, tuple[Timestamp, int]] = {}
        self._durable: dict[Partition, Timestamp] = {}
        self._last_active: dict[Partition, float] = {}
        self._expected: set[Partition] = set()
        self._lags: dict[Partition, int] = {}

    def expect(self, partitions: Iterable[Partition]) -> None:
        """Adds partitions that are read, in this process or elsewhere."""
        with _LOCK:
            self._expected.update(partitions)

    def begin(self, partition: Partition, offset: int) -> None:
        """Records that a bundle begins: where the last one ended, or earlier if that one failed and is repeated."""
        now = time.monotonic()
        with _LOCK:
            if partition not in self._last_active:
                self._last_begin = now
            self._last_active[partition] = now
            reached, stop = self._reached.get(partition, (None, None))
            if reached is not None and stop == offset:
                self._durable[partition] = reached
            else:
                self._reached.pop(partition, None)
                self._durable.pop(partition, None)

    def reach(self, partition: Partition, offset: int, timestamp: Timestamp) -> Timestamp | None:
        """Records one partition's watermark. Returns the minimum of all; None while partitions have yet to begin."""
        now = time.monotonic()
        with _LOCK:
            known = self._reached.get(partition)
            own = max(timestamp, known[0]) if known else timestamp
            self._reached[partition], self._last_active[partition] = (own, offset), now
            moved = now - _MOVED - _MOVED_EACH * len(self._expected)
            others = {p: at for p, at in self._durable.items() if p != partition and self._last_active[p] > moved}
            if now - self._last_begin < _BEGIN and not self._expected <= {partition, *others}:
                return None
            return min([own, *others.values()])

    def lag(self, partition: Partition, messages: int) -> int:
        """Records one partition's lag. Returns the sum of its topic's partitions in this process."""
        with _LOCK:
            self._lags[partition] = messages
            return sum(number for p, number in self._lags.items() if p.topic == partition.topic)

    def advance(self, partition: Partition, offset: int, timestamp: Timestamp, watermark: Any) -> None:
        """Records one partition's watermark and reports the minimum to the runner, never moving backward."""
        reached, known = self.reach(partition, offset, timestamp), watermark.current_watermark()
        if reached is not None and (known is None or reached > known):
            watermark.set_watermark(reached)


def min_watermark_of(reader: str) -> MinWatermark:
    """The MinWatermark of a reader in this process."""
    with _LOCK:
        return _BY_READER.setdefault(reader, MinWatermark())
