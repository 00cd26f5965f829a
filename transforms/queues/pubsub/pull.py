"""Pulling from a Pub/Sub subscription, ahead of the work."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self

from ...base.message import Message
from .client import Resource, patiently, subscriber
from .fields import message_of
from .lease import Owner, leases_of

__all__ = ["Batch", "Puller"]

_MOST = 1000
_AHEAD = 2


class Batch(NamedTuple):
    """What one pull brought, and by which ids it is acknowledged, one per line."""

    acknowledged_by: str
    messages: list[Message]


class Puller:
    """Pulls ahead of the work, in threads of its own; what they bring is leased to the owner at once."""

    def __init__(self, subscription: Resource, owner: Owner, seconds: float) -> None:
        self._subscription, self._owner, self._seconds = subscription, owner, seconds
        self._client, self._leases = subscriber(subscription), leases_of(subscription)
        self._source = f"{subscription.project}/{subscription.name}"
        self._pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="Pub/Sub pull")
        self._underway: deque[Future[Batch | None]] = deque()
        self._ended = False

    def next(self) -> Batch | None:
        """The next batch; None if there was none within the seconds of a pull."""
        while len(self._underway) < _AHEAD:
            self._underway.append(self._pool.submit(self._pull))
        return self._underway.popleft().result()

    def rest(self) -> Iterator[Batch]:
        """What the last pulls bring; none is begun any more."""
        while self._underway:
            batch = self._underway.popleft().result()
            if batch:
                yield batch

    def close(self) -> None:
        """Ends the threads; what they have brought and nobody has taken is given back."""
        self._ended = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._leases.release(self._untaken())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused_error: Any) -> None:
        self.close()

    def __del__(self) -> None:
        self._leases.abandon(self._untaken())

    def _untaken(self) -> Iterator[str]:
        while self._underway:
            future = self._underway.popleft()
            if future.done() and not future.cancelled() and not future.exception():
                batch = future.result()
                if batch:
                    yield batch.acknowledged_by

    def _pull(self) -> Batch | None:
        received = patiently(self._subscription, "read", self._received)
        if not received:
            return None
        batch = "\n".join(one.ack_id for one in received)
        self._leases.hold(batch, self._owner)
        if self._ended:
            self._leases.release([batch])
        return Batch(batch, [message_of(one.message, self._source) for one in received])

    def _received(self) -> Any:
        from google.api_core.exceptions import DeadlineExceeded

        if self._ended:
            return ()
        request = {"subscription": self._subscription.path, "max_messages": _MOST}
        try:
            # The wrapper around the response costs more than all the rest.
            return self._client.pull(request=request, retry=None, timeout=self._seconds)._pb.received_messages
        except DeadlineExceeded:  # The emulator's way to say that there is nothing.
            return ()
