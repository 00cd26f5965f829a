"""The address of a queue."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["EXAMPLE", "QueueUri"]

EXAMPLE = "kafka://host:9092/topic?group=name, sqlite:///path/queues.db?topic=name&group=name, /data/*.jsonl"


class QueueUri(NamedTuple):
    """A parsed address, scheme://host/path?name=value.

    >>> QueueUri.parse("kafka://a:9092,b:9092/orders?group=shipping").params["group"]
    'shipping'
    """

    text: str
    scheme: str
    host: str
    path: str
    params: Mapping[str, str]

    @staticmethod
    def parse(text: str) -> "QueueUri":
        """Splits a URI into its parts. A plain path is a file."""
        if not isinstance(text, str) or not text:
            raise ValueError(f"a queue is named by a URI, not {text!r}; for instance {EXAMPLE}")
        if "://" not in text:
            return QueueUri(text, "file", "", text, {})
        parts = urlsplit(text)
        if "@" in parts.netloc:
            shown = re.sub(r"//[^@/]*@", "//...@", text)
            raise ValueError(
                f"the queue {shown} has a user name or password in it, which would end up in logs; "
                "put credentials into a settings file or the environment"
            )
        path = text.partition("://")[2].partition("?")[0] if parts.scheme == "file" else parts.path
        if parts.scheme == "file":
            path = unquote(path.removeprefix("localhost"))
        elif parts.scheme == "gs":
            path = text.partition("?")[0]
        return QueueUri(text, parts.scheme, parts.netloc, path, dict(parse_qsl(parts.query, keep_blank_values=True)))
