"""A dead letter as replay sees it: its identity, its number of replays, its fields for a condition."""

from datetime import UTC, datetime
from typing import Any

from beam_patterns.pipelines import Expression
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message

__all__ = ["REPLAYS", "entry_queue", "fields", "identity", "letter_condition", "replays", "sent_back"]

#: The attribute that counts how often a message was sent back. It stays with the message, and so with its later
#: dead letters.
REPLAYS = "beam_patterns.replays"
#: Types of the fields for `--where`: those of the record, with text for bytes and times for seconds, and two more.
_FIELDS: dict[str, Any] = {
    "payload": str,
    "key": str,
    "attributes": dict[str, str],
    "source": str,
    "event_time": Any,  # A time, or none.
    "step": str,
    "attempts": int,
    "first_failed_at": datetime,
    "last_failed_at": datetime,
    "error_type": str,
    "error_message": str,
    "traceback": str,
    "fingerprint": str,
    "pipeline": str,
    "version": int,
    "queue": str,
    "replays": int,
}


def letter_condition(text: str) -> Expression | None:
    """The type of an option that is a condition on letters; None for an empty text."""
    return Expression(text, _FIELDS) if text else None


def fields(letter: DeadLetter) -> dict[str, Any]:
    """The letter's fields by name, for a condition."""
    return {
        **letter._asdict(),
        "payload": _text(letter.payload),
        "key": _text(letter.key),
        "attributes": {name: _text(value) for name, value in letter.attributes},
        "event_time": None if letter.event_time is None else _time(letter.event_time),
        "first_failed_at": _time(letter.first_failed_at),
        "last_failed_at": _time(letter.last_failed_at),
        "queue": entry_queue(letter),
        "replays": replays(letter),
    }


def replays(letter: DeadLetter) -> int:
    """How often the item had been sent back before this failure."""
    count = dict(letter.attributes).get(REPLAYS, b"0")
    return int(count) if count.isdigit() else 0


def entry_queue(letter: DeadLetter) -> str:
    """The name of the item's source queue; empty if the item was created in the pipeline.

    >>> letter = DeadLetter.of(Message(b"", source=("/data/in.jsonl", 0, 17)), ValueError(), step="Decode")
    >>> entry_queue(letter)
    '/data/in.jsonl'
    """
    parts = letter.source.rsplit("/", 2)
    return parts[0] if len(parts) == 3 else ""


def identity(letter: DeadLetter) -> str:
    """The item's id, the same through all its replays; empty if nothing identifies it."""
    is_known = letter.source or MESSAGE_ID in dict(letter.attributes)
    return _text(_original(letter).attribute(MESSAGE_ID)) if is_known else ""


def sent_back(letter: DeadLetter) -> Message:
    """The original message, with one more replay.

    >>> letter = DeadLetter.of(Message(b"x", source=("orders", 0, 7)), ValueError("no"), step="Decode")
    >>> sent_back(letter).attributes
    (('message_id', b'orders/0/7-a93c5f93'), ('beam_patterns.replays', b'1'))
    """
    return _original(letter).with_attributes(**{REPLAYS: b"%d" % (replays(letter) + 1)})


def _original(letter: DeadLetter) -> Message:
    # A message that is read at the source's position gets this id, wherever it is written.
    place: Any = (letter.source,) if letter.source else None
    return Message(letter.payload, letter.key, letter.attributes, letter.event_time, place).with_id()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
