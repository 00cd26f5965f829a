"""Writes to a Pub/Sub topic in whole requests, instead of a future per message."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ...base.errors import QueueError
from ...base.message import Message
from ..queue import Rejected, Writer
from .client import Resource, connected, with_retries
from .fields import Fields, fields_of

__all__ = ["Publisher"]

#: Limits of one request; Pub/Sub's own limits are 1,000 and 10 MB.
_MESSAGES, _BYTES = 1_000, 8_000_000
#: Limits of the buffer, which is sent in parallel requests when it is full.
_BUFFERED, _BUFFERED_BYTES = 16_000, 32_000_000
_PARALLEL = 16
Request = list[tuple[Message, Fields]]


class Publisher(Writer):
    """Buffers messages and publishes them, each ordering key in order."""

    def __init__(self, topic: Resource) -> None:
        self._topic, self._client = topic, connected(topic, "Publisher")
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="Pub/Sub publish")
        self._buffer, self._size = Request(), 0
        self._rejected: list[Rejected] = []

    def write(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                fields = fields_of(message)
            except ValueError as error:
                self._reject(message, error)
                continue
            self._buffer.append((message, fields))
            self._size += fields.size
            if len(self._buffer) >= _BUFFERED or self._size >= _BUFFERED_BYTES:
                self._send()

    def flush(self) -> list[Rejected]:
        self._send()
        rejected, self._rejected = self._rejected, []
        return rejected

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self) -> None:
        buffer, self._buffer, self._size = self._buffer, Request(), 0
        list(self._pool.map(self._publish_in_order, _sequences(buffer)))

    def _publish_in_order(self, requests: list[Request]) -> None:
        for request in requests:
            self._publish(request)

    def _publish(self, request: Request) -> None:
        reason = with_retries(self._topic, "publish to", lambda: self._rejection(request))
        if reason and len(request) == 1:
            self._reject(request[0][0], reason)
        elif reason:
            for message in request:  # One bad message makes the request fail, so each is sent alone.
                self._publish([message])

    def _rejection(self, request: Request) -> str:
        """Sends a request. Returns why the service will never accept it; empty if it was accepted."""
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
        self._rejected.append(Rejected(message, QueueError(f"the topic {self._topic.name!r} rejects it: {reason}")))


def _sequences(messages: Request) -> Iterator[list[Request]]:
    """Lists of requests to send in order. All messages of a request must have the same ordering key."""
    by_key = defaultdict[str, Request](list)
    for message in messages:
        by_key[message[1].ordering_key].append(message)
    for key, keyed in by_key.items():
        requests = list(_requests(keyed))
        yield from [requests] if key else ([request] for request in requests)


def _requests(messages: Request) -> Iterator[Request]:
    request, size = Request(), 0
    for message in messages:
        if request and (len(request) == _MESSAGES or size + message[1].size > _BYTES):
            yield request
            request, size = Request(), 0
        request.append(message)
        size += message[1].size
    if request:
        yield request
