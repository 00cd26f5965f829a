"""Checks of a pipeline's queues before it runs."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, combinations

from beam_patterns.transforms.queues import Message, UnreadableError, open_queue

__all__ = ["Named", "check_queues", "drawing", "is_idle", "messages_of", "prepared", "same_queue"]

_LOG = logging.getLogger(__name__)
_DRAWING = ContextVar("drawing", default=False)
#: The option that names a queue, such as --input, and the queue's URI.
Named = tuple[str, str]


@contextmanager
def drawing() -> Iterator[None]:
    """Inside, pipelines are only built, to be shown or to run elsewhere: queues are neither read nor created."""
    token = _DRAWING.set(True)
    try:
        yield
    finally:
        _DRAWING.reset(token)


def same_queue(one: str, other: str) -> bool:
    """Whether two URIs name the same queue, or share a topic or file with others, whatever the group.

    >>> same_queue("kafka://a:9092,b:9092/orders,returns?group=g", "kafka://b:9092/returns?compression=zstd")
    True
    >>> same_queue("/data/*.jsonl", "file:///data/out-*.jsonl"), same_queue("/data/*.jsonl", "/data/out/a.jsonl")
    (True, False)
    """
    a, b = open_queue(one), open_queue(other)
    return a.uri.scheme == b.uri.scheme and a.overlaps(b)


def check_queues(reads: Sequence[Named], writes: Sequence[Named], streaming: bool) -> None:
    """Raises ValueError for queues that can't be read and written together, before anything starts.

    >>> check_queues([("--input", "memory://a?group=g")], [("--output", "memory://a")], streaming=False)
    Traceback (most recent call last):
    ValueError: --output would be written to memory://a, from which --input is read; use another queue
    """
    for name, uri in writes:
        open_queue(uri).check_writable()
        for read, taken in reads:
            if same_queue(uri, taken):
                raise ValueError(f"{name} would be written to {uri}, from which {read} is read; use another queue")
    for (name, uri), (other, taken) in combinations([*reads, *writes], 2):
        if same_queue(uri, taken):
            raise ValueError(f"{name} and {other} are both {taken}; use a queue for each")
    if streaming:
        _check_stream(reads, writes)


def _check_stream(reads: Sequence[Named], writes: Sequence[Named]) -> None:
    for name, uri in reads:
        if not open_queue(uri).can_follow:
            raise ValueError(f"{name}: {uri} can't be followed; use kafka:// or pubsub://, or leave --streaming out")
    for name, uri in writes:
        if not open_queue(uri).accepts_streams:
            raise ValueError(f"{name}: {uri} would be complete when the stream ends; use kafka:// or pubsub://")


def prepared(uri: str) -> str:
    """Creates a queue, so that it can be read before anything was written to it; returns its URI."""
    if _DRAWING.get():
        return uri
    writer = open_queue(uri).writer()
    try:
        writer.flush()
    finally:
        writer.close()
    return uri


def is_idle(*uris: str) -> bool:
    """Whether none of these queues has anything new; logs it if so."""
    if _DRAWING.get():
        return False
    queues = [open_queue(uri) for uri in uris]
    if any(queue.splits() for queue in queues):
        return False
    for queue in queues:
        _LOG.info("nothing new in %s", queue)
    return True


def messages_of(uri: str) -> Iterator[Message]:
    """The messages to read in a queue now, without a pipeline and without a commit. Raises UnreadableError."""
    if _DRAWING.get():
        return
    queue = open_queue(uri)
    with queue.reading() as read:
        for batch in chain.from_iterable(map(read, queue.splits())):
            if isinstance(batch, UnreadableError):
                raise batch
            yield from batch
