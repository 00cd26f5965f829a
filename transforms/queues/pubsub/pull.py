"""Pulls batches from a Pub/Sub subscription in advance."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from ...base.message import Message
from .client import Resource, connected, with_retries
from .fields import message_of
from .lease import Owner, leases_of

__all__ = ["Batch", "Puller"]

_MAX_MESSAGES = 1000
_PULLS = 2


class Batch(NamedTuple):
    """The messages of one pull, and the ids that acknowledge them, one per line."""

    ack_ids: str
    messages: list[Message]


class Puller:
    """Pulls in threads, ahead of the work. Each batch is leased to the owner as soon as it arrives."""

    def __init__(self, subscription: Resource, owner: Owner, seconds: float) -> None:
        self._subscription, self._owner, self._seconds = subscription, owner, seconds
        self._client, self._leases = connected(subscription, "Subscriber"), leases_of(subscription)
        self._source = f"{subscription.project}/{subscription.name}"
        self._pool = ThreadPoolExecutor(_PULLS, thread_name_prefix="Pub/Sub pull")
        self._pending: deque[Future[Batch | None]] = deque()
        self._closed = False

    def next(self) -> Batch | None:
        """The next batch; None if none arrived within the seconds of a pull."""
        while len(self._pending) < _PULLS:
            self._pending.append(self._pool.submit(self._pull))
        return self._pending.popleft().result()

    def remaining(self) -> Iterator[Batch]:
        """The batches of pulls that have started. Starts no more pulls."""
        while self._pending:
            batch = self._pending.popleft().result()
            if batch:
                yield batch

    def close(self) -> None:
        """Ends the threads and gives back batches that nothing has used."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._leases.release(self._unused())

    def __del__(self) -> None:
        self._leases.release_later(self._unused())

    def _unused(self) -> Iterator[str]:
        while self._pending:
            future = self._pending.popleft()
            if future.done() and not future.cancelled() and not future.exception():
                batch = future.result()
                if batch:
                    yield batch.ack_ids

    def _pull(self) -> Batch | None:
        received = with_retries(self._subscription, "read", self._received)
        if not received:
            return None
        ack_ids = "\n".join(one.ack_id for one in received)
        self._leases.hold(ack_ids, self._owner)
        if self._closed:
            self._leases.release([ack_ids])
        return Batch(ack_ids, [message_of(one.message, self._source) for one in received])

    def _received(self) -> Any:
        from google.api_core.exceptions import DeadlineExceeded

        if self._closed:
            return ()
        request = {"subscription": self._subscription.path, "max_messages": _MAX_MESSAGES}
        try:
            # The wrapper around the response costs more time than everything else here.
            return self._client.pull(request=request, retry=None, timeout=self._seconds)._pb.received_messages
        except DeadlineExceeded:  # The emulator raises this when there are no messages.
            return ()
