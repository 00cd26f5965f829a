"""Rows as a YAML pipeline has them: their types, and their form as messages."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.pvalue import PCollection
from apache_beam.typehints.row_type import RowTypeConstraint

from beam_patterns.pipelines.cel.item import plain
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message

__all__ = ["as_message", "fields_of", "restored", "row_of", "row_type"]


def as_message(row: Any) -> Message:
    """A row as a message: its fields as JSON. Messages, text and bytes are kept as they are.

    >>> as_message(beam.Row(id=1, raw=b"x")).value
    b'{"id":1,"raw":"x"}'
    """
    if isinstance(row, Message):
        return row
    if isinstance(row, bytes | str):
        return Message(row if isinstance(row, bytes) else row.encode())
    return Message(orjson.dumps(plain(row), default=_text))


def restored(rows: PCollection, name: str = "") -> PCollection:
    """Messages and dead letters in their own classes again, after Beam's own Flatten has made rows of them."""
    if rows.element_type in (Message, DeadLetter):
        return rows
    for kind in (Message, DeadLetter):
        if set(fields_of(rows)) == set(kind._fields):
            return rows | f"Restore {name}".rstrip() >> beam.Map(_restored, kind).with_output_types(kind)
    return rows


def fields_of(rows: PCollection) -> dict[str, Any]:
    """The types of the rows' fields by name. Empty for messages, whose fields are in their JSON."""
    kind: Any = rows.element_type
    row = kind if isinstance(kind, RowTypeConstraint) else RowTypeConstraint.from_user_type(kind)
    return {} if row is None or kind is Message else dict(row._fields)


def row_type(fields: Mapping[str, Any]) -> Any:
    """The type of rows with these fields. Raises ValueError for names that a field can't have."""
    for name in fields:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{name!r} can't name a field; use letters, digits and underscores, such as 'total'")
    return RowTypeConstraint.from_fields(list(fields.items()))


def row_of(names: tuple[str, ...], values: Any) -> beam.Row:
    """A row with these fields."""
    return beam.Row(**dict(zip(names, values, strict=True)))


def _restored(row: Any, kind: Any) -> Any:
    fields = row._asdict()
    attributes = tuple([(name, value) for name, value in fields["attributes"]])
    source = fields["source"]
    return kind(**{**fields, "attributes": attributes, "source": tuple(source) if isinstance(source, list) else source})


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
