"""A service as a worker."""

import os
import time
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

from .items import as_json, identity
from .task import PermanentError

__all__ = ["HttpBusyError", "HttpError", "HttpRefusedError", "HttpWorker"]

_LONGEST_WAIT = 600.0


class HttpError(Exception):
    """The service could not be reached or failed; another attempt may succeed."""


class HttpBusyError(HttpError):
    """The service asks to come again later."""

    def __init__(self, sentence: str, retry_after: float | None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class HttpRefusedError(PermanentError):
    """The service will not take this item, however often it is sent."""


class HttpWorker:
    """Posts each item to a service; its answer is the result.

    ```
    item --POST, Idempotency-Key--> service --200--> result: the answer's body
                                            --429, 503 with Retry-After--> again, not before then
                                            --5xx, no answer--> again
                                            --4xx--> dead letter
    ```

    The key is made of the item's message id, so a service that remembers keys does the work once however often it is
    asked. Connections are kept open between items.

    Args:
        url: http:// or https://; without a password in it, see `with_token_from`.

    In: anything with a JSON form.
    Out: bytes, the body of the answer.
    Failure: errors name the service without query, headers or body, so no secret of theirs gets into logs.
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
                f"HttpWorker({self._shown}): the URL has a user name or password in it, which would end up in logs; "
                "put a token into the environment and name it with .with_token_from(...)"
            )
        self._url, self.__name__ = url, parts.hostname
        self._client: Any = None

    def with_token_from(self, variable: str) -> Self:
        """Sends `Authorization: Bearer ...` with the token in this environment variable of the worker."""
        changed = type(self)(self._url)
        changed._token = variable
        return changed

    def __call__(self, item: Any) -> bytes:
        """The service's answer."""
        import httpx

        self._client = self._client or httpx.Client(timeout=httpx.Timeout(None, connect=10))
        try:
            answer = self._client.post(self._url, content=as_json(item), headers=self._headers(item))
        except httpx.HTTPError as error:
            raise HttpError(f"{self._shown} can't be reached ({type(error).__name__})") from None
        if answer.is_success:
            return answer.content
        raise self._failure(answer)

    def _headers(self, item: Any) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": identity(item)}
        if self._token is not None:
            token = os.environ.get(self._token)
            if not token:
                raise PermanentError(f"{self._shown} needs a token in the environment variable {self._token}")
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _failure(self, answer: Any) -> Exception:
        sentence = f"{self._shown} answered {answer.status_code} {answer.reason_phrase}"
        if answer.status_code in (429, 503):
            return HttpBusyError(sentence, _seconds(answer.headers.get("Retry-After")))
        if answer.status_code == 408 or answer.is_server_error:
            return HttpError(sentence)
        return HttpRefusedError(sentence)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def __str__(self) -> str:
        return f"HttpWorker({self._shown})"


def _seconds(retry_after: str | None) -> float | None:
    """Of a Retry-After header: seconds, or a date."""
    if not retry_after:
        return None
    try:
        wait = (
            float(retry_after)
            if retry_after.isdigit()
            else parsedate_to_datetime(retry_after).timestamp() - time.time()
        )
    except ValueError:
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT)
