"""Queues that a pipeline names itself, from a prefix."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from beam_patterns.transforms.queues import Message, QueueUri, open_queue

__all__ = ["drawing", "is_idle", "messages_of", "prepared", "queue_under", "same_queue"]

_LOG = logging.getLogger(__name__)
_DRAWING = ContextVar("drawing", default=False)


@contextmanager
def drawing() -> Iterator[None]:
    """Pipelines are only built, to be looked at or to run elsewhere: queues are neither asked nor made."""
    token = _DRAWING.set(True)
    try:
        yield
    finally:
        _DRAWING.reset(token)


def queue_under(prefix: str, name: str, group: str = "") -> str:
    """The queue called `name` under a prefix, with a group to read it if it keeps positions.

    >>> queue_under("kafka://localhost:9092/signup-", "expired")
    'kafka://localhost:9092/signup-expired'
    >>> queue_under("sqlite:///data/queues.db?topic=", "pending", group="signup")
    'sqlite:///data/queues.db?topic=pending&group=signup'
    >>> queue_under("/data/out/", "expired")
    '/data/out/expired.jsonl'
    >>> queue_under("/data/out/", "pending", group="signup")
    'sqlite:///data/out/pending.db?topic=pending&group=signup'
    """
    uri = QueueUri.parse(prefix)
    if uri.scheme in ("file", "gs"):
        if not group:
            return f"{prefix}{name}.jsonl"
        if uri.scheme == "gs":
            raise ValueError(
                f"--{name}: files under {prefix} can't remember what was read; name a Kafka or SQLite queue"
            )
        return f"sqlite://{Path(uri.path + name).absolute()}.db?topic={name}&group={group}"
    if uri.scheme == "pubsub" or not group:
        return prefix + name
    return f"{prefix}{name}{'&' if '?' in prefix else '?'}group={group}"


def same_queue(one: str, other: str) -> bool:
    """Whether two URIs name the same queue, whatever the group."""
    return _place(one) == _place(other)


def prepared(uri: str) -> str:
    """Makes sure that a queue of our own can be read before anything was written to it."""
    if _DRAWING.get():
        return uri
    writer = open_queue(uri).writer()
    try:
        writer.flush()
    finally:
        writer.close()
    return uri


def is_idle(*uris: str) -> bool:
    """Whether there is nothing new in any of these queues; says so if it is."""
    if _DRAWING.get():
        return False
    queues = [open_queue(uri) for uri in uris]
    if any(queue.splits() for queue in queues):
        return False
    for queue in queues:
        _LOG.info("nothing new in %s", queue)
    return True


def messages_of(uri: str) -> Iterator[Message]:
    """What there is to read in a queue now, without a pipeline; nothing is committed."""
    if _DRAWING.get():
        return
    queue = open_queue(uri)
    for split in queue.splits():
        for batch in queue.read(split):
            yield from batch


def _place(text: str) -> tuple[object, ...]:
    uri = QueueUri.parse(text)
    rest = sorted((name, value) for name, value in uri.params.items() if name != "group")
    return uri.scheme, uri.host, uri.path, tuple(rest)
