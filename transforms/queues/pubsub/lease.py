"""The leases of this process: messages that it has pulled and not acknowledged yet.

Pub/Sub leases a message for some seconds and then delivers it to another client. Work may take longer, so each message
is in a table until it is acknowledged, and one thread per subscription extends the leases in the table. A process that
dies extends nothing, so its messages are delivered again: nothing is lost.
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
from .client import EMULATOR, Resource, connected, is_transient, with_retries

__all__ = ["Leases", "Owner", "leases_of"]

_LOG = logging.getLogger(__name__)
#: Duration of a lease in seconds, and so the longest time until a killed run's messages are delivered again.
_LEASE = 20
_TICK = 2.0
_PARALLEL = 8
_LOCK = threading.Lock()
_PIPELINES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


class Owner(NamedTuple):
    """The reading step of a pipeline that has pulled messages."""

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
    """The leases of one subscription. Messages of one pull form a batch, which is extended and acknowledged as a whole.

    A batch is identified by its acknowledgement ids, one per line, which are valid in every process.
    """

    def __init__(self, subscription: Resource) -> None:
        self._subscription, self._client = subscription, connected(subscription, "Subscriber")
        self._held: dict[str, _Held] = {}
        self._to_release: deque[str] = deque()
        self._lock = threading.Lock()
        self._extender: threading.Thread | None = None

    def release_stale(self, owner: Owner) -> None:
        """Releases the batches of other pipelines and of an earlier attempt of this step, whose work has ended.

        Other steps of the same pipeline keep theirs. If another pipeline of this process is still reading the same
        subscription, it gets its messages a second time.
        """
        with self._lock:
            stale = [
                batch for batch, (other, _) in self._held.items() if other == owner or other.pipeline != owner.pipeline
            ]
        self.release(stale)

    def hold(self, batch: str, owner: Owner) -> None:
        """Extends the batch's lease until it is acknowledged or released."""
        with self._lock:
            self._held[batch] = _Held(owner, 0)
            if self._extender is None:
                self._extender = threading.Thread(target=self._extend_all, name="Pub/Sub leases", daemon=True)
                self._extender.start()

    def acknowledge(self, batches: Iterable[str]) -> None:
        """Acknowledges batches, so that they are never delivered again. Raises QueueError if the service fails."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(self._acknowledge, batches))

    def release(self, batches: Iterable[str]) -> None:
        """Gives batches back, so that they are delivered again at once, or after their lease if the call fails."""
        for batch in batches:
            with self._lock:
                self._held.pop(batch, None)
            with suppress(Exception):
                self._set_deadline(batch, 0)

    def release_later(self, batches: Iterable[str]) -> None:
        """Releases batches soon. For destructors, which may run anywhere and must not wait for a lock or a server."""
        self._to_release.extend(batches)

    def release_all(self) -> None:
        """Releases batches for two seconds, at the end of the process."""
        deadline = time.monotonic() + 2
        for batch in list(self._held):
            if time.monotonic() < deadline:
                self.release([batch])

    def _acknowledge(self, batch: str) -> None:
        request = {"subscription": self._subscription.path, "ack_ids": batch.split("\n")}
        with_retries(
            self._subscription,
            "acknowledge messages of",
            lambda: self._client.acknowledge(request=request, retry=None, timeout=30),
        )
        with self._lock:
            self._held.pop(batch, None)

    def _set_deadline(self, batch: str, seconds: int) -> None:
        ids = batch.split("\n")
        request = {"subscription": self._subscription.path, "ack_ids": ids, "ack_deadline_seconds": seconds}
        self._client.modify_ack_deadline(request=request, retry=None, timeout=5)

    def _extend_all(self) -> None:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            while True:
                while self._to_release:
                    self.release([self._to_release.popleft()])
                with self._lock:
                    if not self._held:
                        self._extender = None
                        return
                    soon = time.monotonic() + _LEASE / 2
                    due = [batch for batch, held in self._held.items() if held.until < soon]
                try:
                    failed = [error for error in pool.map(self._extend, due) if error]
                except RuntimeError:  # The interpreter is shutting down and starts no more threads: see release_all.
                    return
                if failed:
                    uri = self._subscription.uri
                    _LOG.warning("%s: messages of %d batches may be delivered again: %s", uri, len(failed), failed[0])
                time.sleep(_TICK)

    def _extend(self, batch: str) -> Exception | None:
        now, failed = time.monotonic(), None
        try:
            self._set_deadline(batch, _LEASE)
        except Exception as error:
            failed = error
            if is_transient(error):
                return failed  # The next tick tries again.
        with self._lock:
            held = self._held.get(batch)
            if held is not None:
                self._held[batch] = held._replace(until=now + _LEASE)
        return failed


_TABLES: dict[tuple[str, str], Leases] = {}


def leases_of(subscription: Resource) -> Leases:
    """The leases of a subscription in this process."""
    key = (os.environ.get(EMULATOR, ""), subscription.path)
    with _LOCK:
        if key not in _TABLES:
            if not _TABLES:
                atexit.register(_release_all)
            _TABLES[key] = Leases(subscription)
        return _TABLES[key]


def _release_all() -> None:
    for leases in _TABLES.values():
        with suppress(QueueError):
            leases.release_all()
