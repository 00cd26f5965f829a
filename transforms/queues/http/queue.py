"""http://host:port/api/v1/items: a work source with the book's HTTP interface, as a queue."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.message import Message
from ..queue import Queue, Split
from ..uri import QueueUri

__all__ = ["HttpQueue"]

_ITEM_LIST = '{"kind": "ItemList", "apiVersion": "v1", "items": ["name", ...]}'


class HttpQueue(Queue):
    """A work source: reads one message per item that it lists.

    `GET .../items` returns the names, and `GET .../items/NAME` returns an item. The item's data becomes the message's
    payload, as JSON; its name becomes the key, and with the source's URL the message's `source`. The interface has no
    commit: the work source itself, or a done check, knows which items are done.
    """

    is_readonly = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        if not uri.path.strip("/"):
            raise ValueError(f"the work source {uri.text} has no path; write {uri.scheme}://{uri.host}/api/v1/items")
        self._url = uri.text.rstrip("/")

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        return True

    def splits(self) -> list[Split]:
        found = self._get(self._url)
        names = found.get("items") if isinstance(found, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise QueueError(f"the work source {self} did not return a list of items: {_ITEM_LIST}")
        return [Split(name, 0, 1) for name in names]

    def read(self, split: Split) -> Iterator[list[Message]]:
        name = split.partition
        found = self._get(f"{self._url}/{quote(name, safe='')}")
        if not isinstance(found, dict) or "data" not in found:
            raise UnreadableError(
                f"the work source {self} lists the item {name!r} but returns no data for it", name.encode()
            )
        yield [Message(orjson.dumps(found["data"]), key=name.encode(), source=(self._url, name))]

    def _get(self, url: str) -> Any:
        import httpx

        try:
            answer = _client().get(url)
            if answer.status_code == 404 and url != self._url:
                return None
            if not answer.is_success:
                raise QueueError(f"the work source {url} returned status {answer.status_code}; check the path")
            return answer.json()
        except httpx.HTTPError as error:
            raise QueueError(f"the work source {url} can't be reached: {error or type(error).__name__}") from None
        except ValueError as error:
            raise QueueError(f"the work source {url} did not return JSON: {error}") from None


@lru_cache(maxsize=1)
def _client() -> Any:
    """One client per process, which keeps connections open between items."""
    import httpx

    return httpx.Client(timeout=httpx.Timeout(60, connect=10), transport=httpx.HTTPTransport(retries=2))
