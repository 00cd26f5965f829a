"""http://host:port/api/v1/items: a work source by the book's contract, as a queue."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.message import Message
from ..queue import Queue, Split, Writer
from ..uri import QueueUri

__all__ = ["HttpQueue"]

_CONTRACT = '{"kind": "ItemList", "apiVersion": "v1", "items": ["name", ...]}'


class HttpQueue(Queue):
    """A work source: what it lists is read, one message per item.

    `GET .../items` gives the names, `GET .../items/NAME` an item; its data becomes the message's payload, as JSON, its
    name the key and, with the source's address, where it came from. The contract knows no commit: what is done is known
    to the source, or to a done check.
    """

    is_readonly = True

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        if not uri.path.strip("/"):
            raise ValueError(f"the work source {uri.text} has no path; write {uri.scheme}://{uri.host}/api/v1/items")
        self._url = uri.text.rstrip("/")

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """A service can be reached from other machines."""
        return True

    def splits(self) -> list[Split]:
        """One per item."""
        found = self._get(self._url)
        names = found.get("items") if isinstance(found, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise QueueError(f"the work source {self} answered no list of items; its contract is {_CONTRACT}")
        return [Split(name, 0, 1) for name in names]

    def read(self, split: Split) -> Iterator[list[Message]]:
        """The item."""
        name = split.partition
        found = self._get(f"{self._url}/{quote(name, safe='')}")
        if not isinstance(found, dict) or "data" not in found:
            raise UnreadableError(
                f"the work source {self} lists the item {name!r} but gives no data for it", name.encode()
            )
        yield [Message(orjson.dumps(found["data"]), key=name.encode(), source=(self._url, name))]

    def writer(self) -> Writer:
        """The contract has no writing."""
        self.check_writable()
        raise AssertionError

    def _get(self, url: str) -> Any:
        import httpx

        try:
            answer = _client().get(url)
            if answer.status_code == 404 and url != self._url:
                return None
            answer.raise_for_status()
            return answer.json()
        except httpx.HTTPStatusError as error:
            raise QueueError(
                f"the work source {url} answered {error.response.status_code}; is the path right?"
            ) from None
        except httpx.HTTPError as error:
            raise QueueError(f"the work source {url} can't be reached: {error or type(error).__name__}") from None
        except ValueError as error:
            raise QueueError(f"the work source {url} answered no JSON: {error}") from None


@lru_cache(maxsize=1)
def _client() -> Any:
    """One for the process: connections are kept open between items."""
    import httpx

    return httpx.Client(timeout=httpx.Timeout(60, connect=10), transport=httpx.HTTPTransport(retries=2))
