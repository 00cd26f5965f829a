"""The queues of a pipeline: named from a prefix, told apart, looked at before a run."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, combinations
from pathlib import Path

from beam_patterns.transforms.queues import Message, QueueUri, UnreadableError, open_queue

__all__ = ["Named", "check_queues", "drawing", "is_idle", "messages_of", "prepared", "queue_under", "same_queue"]

_LOG = logging.getLogger(__name__)
_DRAWING = ContextVar("drawing", default=False)
#: What a queue is called where it is complained of, such as --input, and its URI.
Named = tuple[str, str]


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
    >>> queue_under("gs://bucket/out/", "expired")
    'gs://bucket/out/expired-*.jsonl'
    >>> queue_under("/data/out/", "pending", group="signup")
    'sqlite:///data/out/pending.db?topic=pending&group=signup'
    """
    uri = QueueUri.parse(prefix)
    if uri.scheme in ("file", "gs"):
        if not group:
            return f"{prefix}{name}{'-*' if uri.scheme == 'gs' else ''}.jsonl"  # Such a store has no locks to append.
        if uri.scheme == "gs":
            raise ValueError(
                f"--{name}: files under {prefix} can't remember what was read; name a Kafka or SQLite queue"
            )
        return f"sqlite://{Path(uri.path + name).absolute()}.db?topic={name}&group={group}"
    if uri.scheme == "pubsub" or not group:
        return prefix + name
    return f"{prefix}{name}{'&' if '?' in prefix else '?'}group={group}"


def same_queue(one: str, other: str) -> bool:
    """Whether two URIs name the same queue, or the same topic or file among others, whatever the group.

    >>> same_queue("kafka://a:9092,b:9092/orders,returns?group=g", "kafka://b:9092/returns?compression=zstd")
    True
    >>> same_queue("/data/*.jsonl", "file:///data/out-*.jsonl"), same_queue("/data/*.jsonl", "/data/out/a.jsonl")
    (True, False)
    """
    a, b = QueueUri.parse(one), QueueUri.parse(other)
    if a.scheme != b.scheme:
        return False
    if a.scheme == "kafka":
        return _have_common(a.host, b.host) and _have_common(a.path.strip("/"), b.path.strip("/"))
    if a.scheme in ("file", "gs"):
        here, there = (Path(uri.path).absolute() for uri in (a, b))
        return here == there or here.match(str(there)) or there.match(str(here))
    return _place(a) == _place(b)


def check_queues(reads: Sequence[Named], writes: Sequence[Named], streaming: bool) -> None:
    """Refuses queues that can't be read and written together, before anything starts.

    >>> check_queues([("--input", "memory://a?group=g")], [("--output", "memory://a")], streaming=False)
    Traceback (most recent call last):
    ValueError: --output would be written to memory://a, from which --input is read; take another queue
    """
    for name, uri in writes:
        open_queue(uri).write_transform()  # What can only be read says so.
        for read, taken in reads:
            if same_queue(uri, taken):
                raise ValueError(f"{name} would be written to {uri}, from which {read} is read; take another queue")
    for (name, uri), (other, taken) in combinations([*reads, *writes], 2):
        if same_queue(uri, taken):
            raise ValueError(f"{name} and {other} are both {taken}; take a queue for each")
    if streaming:
        _check_stream(reads, writes)


def _check_stream(reads: Sequence[Named], writes: Sequence[Named]) -> None:
    for name, uri in reads:
        if open_queue(uri).follow_transform() is None:
            raise ValueError(f"{name}: {uri} can't be followed; take kafka:// or pubsub://, or leave --streaming out")
    for name, uri in writes:
        if QueueUri.parse(uri).scheme in ("file", "gs"):
            raise ValueError(f"{name}: {uri} would be complete when the stream ends; take kafka:// or pubsub://")


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
    """What there is to read in a queue now, without a pipeline; nothing is committed. Raises UnreadableError."""
    if _DRAWING.get():
        return
    queue = open_queue(uri)
    with queue.reading() as read:
        for batch in chain.from_iterable(map(read, queue.splits())):
            if isinstance(batch, UnreadableError):
                raise batch
            yield from batch


def _have_common(names: str, others: str) -> bool:
    return not set(names.split(",")).isdisjoint(others.split(","))


def _place(uri: QueueUri) -> tuple[str, ...]:
    return uri.scheme, uri.host, uri.path, uri.params.get("topic", "")
