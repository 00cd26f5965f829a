"""Queues, for YAML pipelines."""

from collections.abc import Callable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints import schemas

from beam_patterns.pipelines.cel.item import item_of
from beam_patterns.pipelines.cel.values import CelValue
from beam_patterns.transforms import DeadLetter, queues
from beam_patterns.transforms.extend import positions_of, was_read, with_positions
from beam_patterns.transforms.queues import Message

from .config import ErrorHandling, Schema
from .rows import as_message, restored
from .transform import Errors, Guarded, RowTransform, Unconfigured, streams_of

__all__ = ["CommitOffsets", "DeadLetters", "ReadFromQueue", "WriteToQueue", "decoded"]

#: The fields of the rows in the error outputs of Beam's own transforms.
_BEAM_ERROR = ("element", "msg", "stack")


class ReadFromQueue(RowTransform):
    """Reads the messages of a queue, from the position of its group to its end.

    Without a schema the output has the messages themselves, whose bytes pass through unchanged: rows of value, key,
    attributes, timestamp and source. Expressions about an `item` then see the JSON in its value.

    Args:
        uri: the queue, such as `kafka://localhost:9092/orders?group=shipping` or `/data/orders-*.jsonl`.
        schema: a JSON schema: messages are JSON objects of this form and become rows.
        error_handling: `{output: errors}`: the output for what can't be read.
    """

    def __init__(self, uri: str, schema: Schema = None, error_handling: ErrorHandling = None) -> None:
        super().__init__(queues.ReadFromQueue(uri), error_handling)
        self._schema = schema

    def expand(self, begin: PBegin) -> Any:
        """The messages, or rows made of them."""
        errors = Errors(self._error_output)
        messages = begin | self.label >> errors.guard(self._pattern)
        rows = decoded(messages, self._schema, errors, self.label)
        return errors.beside(with_positions(rows, *positions_of(messages)), messages)


class WriteToQueue(RowTransform):
    """Writes to a queue: messages and dead letters as they are, rows as JSON.

    The output is for CommitOffsets: rows of a queue and a number of messages, once these are durable.

    Args:
        uri: the queue, such as `kafka://localhost:9092/shipped` or `/data/shipped.jsonl`.
        key: the message's key, `item.user_id`; a message that has a key keeps it.
        error_handling: `{output: errors}`: the output for messages that the queue rejects.
    """

    def __init__(self, uri: str, key: str = "", error_handling: ErrorHandling = None) -> None:
        super().__init__(queues.WriteToQueue(uri), error_handling)
        self._key = CelValue(key) if key else None

    def _apply(self, rows: PCollection, errors: Errors) -> PCollection:
        if rows.element_type is not DeadLetter and (self._key or rows.element_type is not Message):
            to_message = Guarded(partial(_keyed_message, self._key), Message, self.label)
            rows = rows | "To messages" >> errors.guard(to_message)
        return super()._apply(rows, errors)


class CommitOffsets(Unconfigured):
    """Moves a group's position forward once everything made of its messages has been written.

    Its inputs have names, `input: {orders: Orders, emails: Emails, dead: Park}`: all ReadFromQueue whose messages are
    to be committed, and all WriteToQueue of the pipeline, those for errors included.
    """

    def expand(self, inputs: Any) -> PCollection:
        """What has been committed."""
        streams = list(streams_of(inputs).values())
        reads = [stream for stream in streams if was_read(stream)]
        written = tuple([stream for stream in streams if stream not in reads])
        if not reads or not written:
            raise ValueError(
                "CommitOffsets needs ReadFromQueue and WriteToQueue by name, at least one of each: "
                "input: {orders: Orders, emails: Emails, dead: Park}"
            )
        return written | self.label >> queues.CommitOffsets(*reads)


class DeadLetters(Unconfigured):
    """The errors of any transform as dead letters, ready to be written to a queue and to be replayed from there.

    Its input is any number of error outputs, of these transforms or of Beam's own.
    """

    def expand(self, errors: PCollection) -> PCollection:
        """One dead letter per error."""
        letters = restored(errors)
        if letters.element_type is DeadLetter:
            return letters
        return letters | "Letters" >> beam.Map(_letter, label=self.label).with_output_types(DeadLetter)


def decoded(messages: PCollection, schema: Any, errors: Errors, step: str) -> PCollection:
    """Messages as rows of a JSON schema, or unchanged without one."""
    if not schema:
        return messages
    from apache_beam.yaml.json_utils import json_parser, json_schema_to_beam_schema  # Needs Beam's yaml extra.

    schema = {"type": "object", **schema}
    fields = json_schema_to_beam_schema(schema)
    parse = partial(_parsed, json_parser(fields, schema))
    return messages | "To rows" >> errors.guard(Guarded(parse, schemas.named_tuple_from_schema(fields), step))


def _parsed(parse: Callable[[bytes], Any], message: Message) -> Any:
    return parse(message.value or b"")


def _keyed_message(key: CelValue | None, row: Any) -> Message:
    message = as_message(row)
    if key is None or message.key is not None:
        return message
    value = key(item_of(row))
    return message._replace(key=value if isinstance(value, bytes) else str(value).encode())


def _letter(error: Any, label: str) -> DeadLetter:
    fields = error._asdict()
    if set(fields) != set(_BEAM_ERROR):
        raise TypeError(f"{label}: rows of {', '.join(fields)} are not errors; give it error outputs only")
    letter = DeadLetter.of(as_message(fields["element"]), RuntimeError(fields["msg"]), step=label)
    return letter._replace(traceback=fields["stack"])
