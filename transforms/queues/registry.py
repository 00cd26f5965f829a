"""Kinds of queue by the scheme of their URI: built-in ones, those of installed packages, and registered ones."""

import importlib
import re
from importlib.metadata import entry_points

from .queue import Queue
from .uri import EXAMPLE, QueueUri

__all__ = ["open_queue", "queue_kind", "queue_schemes", "queue_under", "register_queue"]

#: Entry points of this group add kinds of queue: `sqs = "my_package.sqs:SqsQueue"`.
_GROUP = "beam_patterns.queues"
#: Module and class of each scheme. The module is imported when a URI with the scheme is opened.
_KINDS = {
    "file": f"{__package__}.files.queue:FileQueue",
    "gs": f"{__package__}.files.queue:FileQueue",
    "http": f"{__package__}.http.queue:HttpQueue",
    "https": f"{__package__}.http.queue:HttpQueue",
    "kafka": f"{__package__}.kafka.queue:KafkaQueue",
    "memory": f"{__package__}.memory:MemoryQueue",
    "pubsub": f"{__package__}.pubsub.queue:PubSubQueue",
    "sqlite": f"{__package__}.sqlite.queue:SqliteQueue",
}


def register_queue(scheme: str, kind: str) -> None:
    """Adds a kind of queue to this process.

    Workers in other processes do not know it unless they call this too. An entry point of the group
    `beam_patterns.queues` is known wherever its package is installed.

    Args:
        scheme: the scheme of the kind's URIs, such as "sqs".
        kind: a subclass of Queue, as "my_package.sqs:SqsQueue". It is imported when a URI with the scheme is opened.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
        raise ValueError(f"register_queue({scheme!r}, ...): a scheme is a-z and then a-z or 0-9, such as 'sqs'")
    if kind.count(":") != 1:
        raise ValueError(f"register_queue({scheme!r}, {kind!r}): name the class as 'my_package.module:Class'")
    if _KINDS.get(scheme, kind) != kind:
        raise ValueError(f"register_queue({scheme!r}, {kind!r}): {scheme}:// is {_KINDS[scheme]} already")
    _KINDS[scheme] = kind


def queue_schemes() -> dict[str, str]:
    """Module and class of each scheme, "module:Class"."""
    return {**{point.name: point.value for point in entry_points(group=_GROUP)}, **_KINDS}


def queue_kind(scheme: str) -> type[Queue]:
    """The class for a scheme. Raises KeyError for an unknown one, and ValueError if the class can't be used."""
    place = _KINDS.get(scheme) or queue_schemes()[scheme]
    module, _, name = place.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except Exception as error:  # A module may raise anything when it is imported.
        raise ValueError(f"{scheme}:// is {place}, which can't be imported: {error}") from error
    if not isinstance(kind, type) or not issubclass(kind, Queue):
        raise ValueError(f"{scheme}:// is {place}, which is not a subclass of Queue")
    return kind


def open_queue(uri: str) -> Queue:
    """The queue that a URI names. Checks the URI and does not connect."""
    address = QueueUri.parse(uri)
    return _kind_of(address).open(address)


def queue_under(prefix: str, name: str, group: str = "") -> str:
    """The URI of the queue `name` under a prefix, with a group to read it if the kind keeps positions.

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
    return _kind_of(QueueUri.parse(prefix)).under(prefix, name, group)


def _kind_of(address: QueueUri) -> type[Queue]:
    if address.scheme not in _KINDS and address.scheme not in queue_schemes():
        raise ValueError(
            f"the queue {address.text} starts with {address.scheme}://, which is none of "
            f"{', '.join(sorted(queue_schemes()))}; for instance {EXAMPLE}"
        )
    return queue_kind(address.scheme)
