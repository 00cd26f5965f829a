"""A service as a worker."""

import os
import time
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

from .items import as_json, identity
from .task import PermanentError

__all__ = ["HttpBusyError", "HttpError", "HttpRefusedError", "HttpWorker"]

_MAX_RETRY_AFTER = 600.0


class HttpError(Exception):
    """The service can't be reached or failed; a retry may succeed."""


class HttpBusyError(HttpError):
    """The service is busy (429 or 503)."""

    retry_after: float | None = None
    """Number of seconds that it asks to wait, if it does."""


class HttpRefusedError(PermanentError):
    """The service refuses the item; it is not sent again."""


class HttpWorker:
    """Posts each item to a service; the body of the response is the result.

    ```
    item --POST, Idempotency-Key--> service --200--> result: the body of the response
                                            --429, 503 with Retry-After--> retry, not before then
                                            --408, 5xx, no response--> retry
                                            --other 4xx--> dead letter
    ```

    >>> from beam_patterns.transforms import WorkQueue
    >>> from beam_patterns.transforms.work import HttpWorker
    >>> label = HttpWorker("https://labels.example/print?size=a6").with_token_from("LABELS_TOKEN")
    >>> labels = WorkQueue(label, attempts=5)
    >>> print(label)
    HttpWorker(https://labels.example/print)

    The key is the item's message id, so a service that remembers keys does the work once, however often the item is
    sent. Connections stay open between items.

    Args:
        url: an http:// or https:// URL, without a password; see `with_token_from`.

    In: anything that can be converted to JSON.
    Out: bytes, the body of the response.
    Failure: HttpError, HttpBusyError and HttpRefusedError name the service without query, headers or body, so that no
    secrets are logged.
    Source: Burns, Designing Distributed Systems, chapter 10; the IETF's draft of the Idempotency-Key header; RFC 9110.
    """

    _token: str | None = None

    def __init__(self, url: str) -> None:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"HttpWorker takes a URL such as https://host/path, not {url!r}")
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if "@" in parts.netloc:
            raise ValueError(
                f"HttpWorker({self._shown}): the URL has a user name or password in it, which would be logged; "
                "put a token into an environment variable and name it with .with_token_from(...)"
            )
        self._url, self.__name__ = url, parts.hostname
        self._client: Any = None

    def with_token_from(self, variable: str) -> Self:
        """Sends `Authorization: Bearer ...` with the token in this environment variable of the worker."""
        changed = type(self)(self._url)
        changed._token = variable
        return changed

    def __call__(self, item: Any) -> bytes:
        """The body of the service's response."""
        import httpx

        self._client = self._client or httpx.Client(timeout=httpx.Timeout(None, connect=10))
        try:
            response = self._client.post(self._url, content=as_json(item), headers=self._headers(item))
        except httpx.HTTPError as error:
            raise HttpError(f"{self._shown} can't be reached ({type(error).__name__})") from None
        if response.is_success:
            return response.content
        raise self._failure(response)

    def _headers(self, item: Any) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": identity(item)}
        if self._token is not None:
            token = os.environ.get(self._token)
            if not token:
                raise PermanentError(f"{self._shown} needs a token in the environment variable {self._token}")
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _failure(self, response: Any) -> Exception:
        sentence = f"{self._shown} answered {response.status_code} {response.reason_phrase}"
        if response.status_code in (429, 503):
            error = HttpBusyError(sentence)
            error.retry_after = _seconds(response.headers.get("Retry-After"))
            return error
        if response.status_code == 408 or response.is_server_error:
            return HttpError(sentence)
        return HttpRefusedError(sentence)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def __str__(self) -> str:
        return f"HttpWorker({self._shown})"


def _seconds(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date; None if it is missing or invalid."""
    if not retry_after:
        return None
    try:
        number = retry_after.isdigit()
        wait = float(retry_after) if number else parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return None
    return min(max(wait, 0.0), _MAX_RETRY_AFTER)
