"""A dead letter, as replay sees it: its identity, how often it was sent back, what a condition can ask of it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message

__all__ = ["REPLAYS", "VARIABLES", "entry_queue", "identity", "replays", "sent_back", "unaskable", "values"]

#: The attribute that counts how often a message was sent back. It stays with the message, so that a dead letter made
#: of it later tells.
REPLAYS = "beam_patterns.replays"
#: What `--where` can ask: the record's fields, bytes as text, times as timestamps; and two that follow from them.
VARIABLES = {
    "payload": "STRING",
    "key": "STRING",
    "attributes": "MAP",
    "source": "STRING",
    "event_time": "DYN",
    "step": "STRING",
    "attempts": "INT",
    "first_failed_at": "TIMESTAMP",
    "last_failed_at": "TIMESTAMP",
    "error_type": "STRING",
    "error_message": "STRING",
    "traceback": "STRING",
    "fingerprint": "STRING",
    "pipeline": "STRING",
    "version": "INT",
    "queue": "STRING",
    "replays": "INT",
}


def values(letter: DeadLetter) -> dict[str, Any]:
    """The record for a condition."""
    fields = letter._asdict()
    return {
        **fields,
        "payload": _text(letter.payload),
        "key": _text(letter.key),
        "attributes": {name: _text(value) for name, value in letter.attributes},
        "event_time": None if letter.event_time is None else _time(letter.event_time),
        "first_failed_at": _time(letter.first_failed_at),
        "last_failed_at": _time(letter.last_failed_at),
        "queue": entry_queue(letter),
        "replays": replays(letter),
    }


def unaskable(values: Mapping[str, Any], asked: Iterable[str]) -> str:
    """The first of these fields that a condition would not see whole, for CEL ends text at U+0000; empty if none.

    >>> unaskable({"payload": "a\\0b", "attributes": {"lang": "en"}}, ["attributes", "payload"])
    'payload'
    """
    return next((name for name in sorted(asked) if any("\0" in text for text in _texts(values[name]))), "")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        return (*value, *value.values())
    return (value,) if isinstance(value, str) else ()


def replays(letter: DeadLetter) -> int:
    """How often this item was sent back before it failed once more."""
    said = dict(letter.attributes).get(REPLAYS, b"0")
    return int(said) if said.isdigit() else 0


def entry_queue(letter: DeadLetter) -> str:
    """The name of the queue where the item entered; empty if it was made in the pipeline.

    >>> from beam_patterns.transforms.queues import Message
    >>> letter = DeadLetter.of(Message(b"", source=("/data/in.jsonl", 0, 17)), ValueError(), step="Decode")
    >>> entry_queue(letter)
    '/data/in.jsonl'
    """
    parts = letter.source.rsplit("/", 2)
    return parts[0] if len(parts) == 3 else ""


def identity(letter: DeadLetter) -> str:
    """The id by which an item is known through all its replays; empty if nothing identifies it."""
    known = letter.source or MESSAGE_ID in dict(letter.attributes)
    return (_original(letter).attribute(MESSAGE_ID) or b"").decode("utf-8", "replace") if known else ""


def sent_back(letter: DeadLetter) -> Message:
    """The original message, with one replay more.

    >>> letter = DeadLetter.of(Message(b"x", source=("orders", 0, 7)), ValueError("no"), step="Decode")
    >>> sent_back(letter).attributes
    (('message_id', b'orders/0/7-a93c5f93'), ('beam_patterns.replays', b'1'))
    """
    return _original(letter).with_attributes(**{REPLAYS: b"%d" % (replays(letter) + 1)})


def _original(letter: DeadLetter) -> Message:
    # A message read at the source's place would get this very id wherever it is written.
    place: Any = (letter.source,) if letter.source else None
    return Message(letter.payload, letter.key, letter.attributes, letter.event_time, place).with_id()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
