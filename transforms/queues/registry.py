"""Kinds of queue by the scheme of their URI."""

import importlib

from .queue import Queue
from .uri import EXAMPLE, QueueUri

__all__ = ["open_queue"]

#: Where each scheme is implemented; modules are imported when a URI asks for them.
_KINDS = {
    "file": "files.queue:file_queue",
    "gs": "files.queue:file_queue",
    "http": "http.queue:HttpQueue",
    "https": "http.queue:HttpQueue",
    "kafka": "kafka.queue:KafkaQueue",
    "memory": "memory:MemoryQueue",
    "pubsub": "pubsub.queue:PubSubQueue",
    "sqlite": "sqlite.queue:SqliteQueue",
}


def open_queue(uri: str) -> Queue:
    """The queue that a URI names. Checks the URI, does not connect."""
    parsed = QueueUri.parse(uri)
    place = _KINDS.get(parsed.scheme)
    if place is None:
        raise ValueError(
            f"the queue {uri} starts with {parsed.scheme}://, which is none of {', '.join(sorted(_KINDS))}; "
            f"for instance {EXAMPLE}"
        )
    module, name = place.split(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)(parsed)
