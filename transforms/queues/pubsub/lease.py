"""What this process has pulled and not acknowledged yet, kept from being delivered again.

Pub/Sub lends a message for some seconds and then gives it to somebody else. The work may take longer, so each message
is in a table until it is acknowledged, and one thread per subscription extends what is in it. A process that dies
extends nothing, and its messages come again: nothing is lost.
"""

import atexit
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ...base.errors import QueueError
from .client import EMULATOR, Resource, is_away, patiently, subscriber

__all__ = ["LEASE", "Leases", "Owner", "leases_of"]

_LOG = logging.getLogger(__name__)
#: For how many seconds a message is lent; a killed run's messages come again after that time at the latest.
LEASE = 20
_TICK = 2.0
_AT_ONCE = 8
_LOCK = threading.Lock()
_PIPELINES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


class Owner(NamedTuple):
    """Which reading step of which pipeline has pulled something."""

    pipeline: str
    step: str

    @staticmethod
    def in_pipeline(pipeline: Any) -> "Owner":
        """A new step of a pipeline that is being built."""
        return Owner(_PIPELINES.setdefault(pipeline, uuid.uuid4().hex), uuid.uuid4().hex)


class _Held(NamedTuple):
    owner: Owner
    until: float


class Leases:
    """The table of one subscription. What is pulled at once is extended and acknowledged at once: a batch.

    A batch is known by its acknowledgement ids, one per line, and means the same in every process.
    """

    def __init__(self, subscription: Resource) -> None:
        self._subscription, self._client = subscription, subscriber(subscription)
        self._held: dict[str, _Held] = {}
        self._abandoned: deque[str] = deque()
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None

    def begin(self, owner: Owner) -> None:
        """Gives back what earlier runs have left, and an earlier attempt of this step: nobody works on it any more.

        Other steps of the same pipeline do. Another pipeline of this process that still reads the same subscription
        at this moment gets its messages a second time.
        """
        with self._lock:
            left = [
                batch for batch, (other, _) in self._held.items() if other == owner or other.pipeline != owner.pipeline
            ]
        self.release(left)

    def hold(self, batch: str, owner: Owner) -> None:
        """From now on, until it is acknowledged or released, the batch is extended."""
        with self._lock:
            self._held[batch] = _Held(owner, 0)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="Pub/Sub leases", daemon=True)
                self._keeper.start()

    def acknowledge(self, batches: Iterable[str]) -> None:
        """The work is durable: these messages never come again. Raises QueueError when the service doesn't take it."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._acknowledge, batches))

    def release(self, batches: Iterable[str]) -> None:
        """Gives batches back, to be delivered again at once; where that fails, when their lease ends."""
        for batch in batches:
            with self._lock:
                self._held.pop(batch, None)
            with suppress(Exception):
                self._lend(batch, 0)

    def abandon(self, batches: Iterable[str]) -> None:
        """Releases batches soon; for destructors, which may run anywhere and must not wait for a lock or a server."""
        self._abandoned.extend(batches)

    def release_all(self) -> None:
        """For the end of the process."""
        deadline = time.monotonic() + 2
        for batch in list(self._held):
            if time.monotonic() < deadline:
                self.release([batch])

    def _acknowledge(self, batch: str) -> None:
        request = {"subscription": self._subscription.path, "ack_ids": batch.split("\n")}
        patiently(
            self._subscription,
            "acknowledge messages of",
            lambda: self._client.acknowledge(request=request, retry=None, timeout=30),
        )
        with self._lock:
            self._held.pop(batch, None)

    def _lend(self, batch: str, seconds: int) -> None:
        request = {
            "subscription": self._subscription.path,
            "ack_ids": batch.split("\n"),
            "ack_deadline_seconds": seconds,
        }
        self._client.modify_ack_deadline(request=request, retry=None, timeout=5)

    def _keep(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while True:
                while self._abandoned:
                    self.release([self._abandoned.popleft()])
                with self._lock:
                    if not self._held:
                        self._keeper = None
                        return
                    late = time.monotonic() + LEASE / 2
                    due = [batch for batch, held in self._held.items() if held.until < late]
                try:
                    failed = [error for error in pool.map(self._extend, due) if error]
                except RuntimeError:  # The interpreter is going down and takes no more work; see release_all.
                    return
                if failed:
                    uri, most = self._subscription.uri, len(failed)
                    _LOG.warning("%s: messages of %d batches may come again: %s", uri, most, failed[0])
                time.sleep(_TICK)

    def _extend(self, batch: str) -> Exception | None:
        now, failed = time.monotonic(), None
        try:
            self._lend(batch, LEASE)
        except Exception as error:
            failed = error
            if is_away(error):
                return failed  # The next tick tries again.
        with self._lock:
            held = self._held.get(batch)
            if held is not None:
                self._held[batch] = held._replace(until=now + LEASE)
        return failed


_TABLES: dict[tuple[str, str], Leases] = {}


def leases_of(subscription: Resource) -> Leases:
    """This process's table of a subscription."""
    place = (os.environ.get(EMULATOR, ""), subscription.path)
    with _LOCK:
        if place not in _TABLES:
            if not _TABLES:
                atexit.register(_release_all)
            _TABLES[place] = Leases(subscription)
        return _TABLES[place]


def _release_all() -> None:
    for leases in _TABLES.values():
        with suppress(QueueError):
            leases.release_all()
