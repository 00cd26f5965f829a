"""Rows as a YAML pipeline has them, and what CEL and JSON see of them."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.pvalue import PCollection
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message

__all__ = ["as_message", "fields_of", "item_of", "row_of", "row_type", "whole"]

_PLAIN = (str, bytes, bool, int, float, type(None))


def item_of(row: Any) -> Any:
    """What CEL calls `item`: the JSON in a message, else the row's fields; what is neither JSON nor bytes is text.

    >>> item_of(beam.Row(id=1, tags=("a", "b"), at=beam.utils.timestamp.Timestamp(0)))
    {'id': 1, 'tags': ['a', 'b'], 'at': '1970-01-01T00:00:00Z'}
    >>> item_of(Message(b'{"id": 1}'))
    {'id': 1}
    """
    return row.json() if isinstance(row, Message) else _plain(row)


def as_message(row: Any) -> Message:
    """A row as it goes into a queue: its fields as JSON; a message, text and bytes as they are.

    >>> as_message(beam.Row(id=1, raw=b"x")).value
    b'{"id":1,"raw":"x"}'
    """
    if isinstance(row, Message):
        return row
    if isinstance(row, bytes | str):
        return Message(row if isinstance(row, bytes) else row.encode())
    return Message(orjson.dumps(_plain(row), default=_text))


def whole(rows: PCollection, name: str = "") -> PCollection:
    """Messages and dead letters as what they are, after Beam's own Flatten has made rows of them."""
    if rows.element_type in (Message, DeadLetter):
        return rows
    for kind in (Message, DeadLetter):
        if set(fields_of(rows)) == set(kind._fields):
            return rows | f"Restore {name}".rstrip() >> beam.Map(_restored, kind).with_output_types(kind)
    return rows


def row_type(fields: Mapping[str, Any]) -> Any:
    """The type of rows with these fields; ValueError for names that no field can have."""
    for name in fields:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{name!r} can't name a field; take letters, digits and underscores, such as {'total'!r}")
    return RowTypeConstraint.from_fields(list(fields.items()))


def row_of(names: tuple[str, ...], values: Any) -> beam.Row:
    """A row with these fields."""
    return beam.Row(**dict(zip(names, values, strict=True)))


def fields_of(rows: PCollection) -> dict[str, Any]:
    """The types of rows' fields by name; none of messages, in which there are others."""
    kind = rows.element_type
    row = kind if isinstance(kind, RowTypeConstraint) else RowTypeConstraint.from_user_type(kind)
    return {} if row is None or kind is Message else dict(row._fields)


def _restored(row: Any, kind: Any) -> Any:
    fields = row._asdict()
    attributes = tuple([(name, value) for name, value in fields["attributes"]])
    source = fields["source"]
    return kind(**{**fields, "attributes": attributes, "source": tuple(source) if isinstance(source, list) else source})


def _plain(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "to_rfc3339"):
        return value.to_rfc3339()
    return value.item() if hasattr(value, "item") else str(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
