"""Writing to a Pub/Sub topic: whole requests, not a future per message."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ...base.errors import QueueError
from ...base.message import Message
from ..queue import Rejected, Writer
from .client import Resource, patiently, publisher
from .fields import Fields, fields_of

__all__ = ["Publisher"]

#: Of one request; Pub/Sub's own limits are 1,000 and 10 MB.
_MESSAGES, _BYTES = 1_000, 8_000_000
#: What is gathered before it is sent, so that many requests are under way at once.
_GATHERED, _GATHERED_BYTES = 16_000, 32_000_000
_AT_ONCE = 16
Request = list[tuple[Message, Fields]]


class Publisher(Writer):
    """Gathers messages and publishes them, each ordering key in order."""

    def __init__(self, topic: Resource) -> None:
        self._topic, self._client = topic, publisher(topic)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="Pub/Sub publish")
        self._open, self._size = Request(), 0
        self._rejected: list[Rejected] = []

    def write(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                fields = fields_of(message)
            except ValueError as error:
                self._reject(message, error)
                continue
            self._open.append((message, fields))
            self._size += fields.size
            if len(self._open) >= _GATHERED or self._size >= _GATHERED_BYTES:
                self._send()

    def flush(self) -> list[Rejected]:
        self._send()
        rejected, self._rejected = self._rejected, []
        return rejected

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self) -> None:
        gathered, self._open, self._size = self._open, Request(), 0
        list(self._pool.map(self._publish_in_turn, _rows(gathered)))

    def _publish_in_turn(self, requests: list[Request]) -> None:
        for request in requests:
            self._publish(request)

    def _publish(self, request: Request) -> None:
        refusal = patiently(self._topic, "publish to", lambda: self._refusal(request))
        if refusal and len(request) == 1:
            self._reject(request[0][0], refusal)
        elif refusal:
            for one in request:  # A bad message spoils its request; alone each is judged alone.
                self._publish([one])

    def _refusal(self, request: Request) -> str:
        """Sends a request; why the service will never take it, empty if it did."""
        from google.api_core.exceptions import InvalidArgument
        from google.pubsub_v1.types import PublishRequest

        raw = PublishRequest.pb(PublishRequest(topic=self._topic.path))
        for _, (data, attributes, ordering_key) in request:
            raw.messages.add(data=data, attributes=attributes, ordering_key=ordering_key)
        try:
            self._client.publish(request=PublishRequest.wrap(raw), retry=None, timeout=60)
        except InvalidArgument as error:
            return str(error.message)
        return ""

    def _reject(self, message: Message, reason: object) -> None:
        self._rejected.append(Rejected(message, QueueError(f"the topic {self._topic.name!r} refuses it: {reason}")))


def _rows(gathered: Request) -> Iterator[list[Request]]:
    """Requests; those of a row one after the other. All messages of a request must have the same ordering key."""
    by_key = defaultdict[str, Request](list)
    for one in gathered:
        by_key[one[1].ordering_key].append(one)
    for key, messages in by_key.items():
        requests = list(_requests(messages))
        yield from [requests] if key else ([request] for request in requests)


def _requests(messages: Request) -> Iterator[Request]:
    request, size = Request(), 0
    for one in messages:
        if request and (len(request) == _MESSAGES or size + one[1].size > _BYTES):
            yield request
            request, size = Request(), 0
        request.append(one)
        size += one[1].size
    if request:
        yield request
