"""Queues, for YAML pipelines."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.typehints import schemas

from beam_patterns.transforms import DeadLetter, queues
from beam_patterns.transforms.extend import positions_of, was_read, with_positions
from beam_patterns.transforms.queues import Message

from .cel import Ask
from .errors import Errors, Guarded, error_output
from .items import as_message, item_of, whole

__all__ = ["CommitOffsets", "DeadLetters", "ReadFromQueue", "WriteToQueue", "decoded"]

#: The rows that Beam's own transforms put into their error outputs.
_BEAM_ERROR = ("element", "msg", "stack")


class ReadFromQueue(beam.PTransform):
    """Reads the messages of a queue, from where its group stands to its end.

    Without a schema the output has the messages themselves, whose bytes pass through unchanged: rows of value, key,
    attributes, timestamp and source. What is asked of an `item` then is asked of the JSON in its value.

    Args:
        uri: the queue, `kafka://localhost:9092/orders?group=shipping`, `/data/orders-*.jsonl` and so on.
        schema: a JSON schema: messages are JSON objects of this form and become rows.
        error_handling: `{output: errors}`: the output for what can't be read.
    """

    def __init__(
        self, uri: str, schema: Mapping[str, Any] | None = None, error_handling: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._read, self._schema = queues.ReadFromQueue(uri), schema
        self._errors = error_output(error_handling)

    def expand(self, begin: PBegin) -> Any:
        """The messages, or rows made of them."""
        errors = Errors(self._errors)
        messages = begin | self.label >> errors.guard(self._read)
        rows = decoded(messages, self._schema, errors, self.label)
        return errors.beside(with_positions(rows, *positions_of(messages)), messages)


class WriteToQueue(beam.PTransform):
    """Writes to a queue: messages and dead letters as they are, rows as JSON.

    The output is for CommitOffsets: rows of queue and messages, when what they count is durable.

    Args:
        uri: the queue, `kafka://localhost:9092/shipped`, `/data/shipped.jsonl` and so on.
        key: the message's key, `item.user_id`; a message that has one keeps it.
        error_handling: `{output: errors}`: the output for what the queue does not take.
    """

    def __init__(self, uri: str, key: str = "", error_handling: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._write, self._key = queues.WriteToQueue(uri), Ask(key) if key else None
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection) -> Any:
        """What has been written."""
        errors, rows = Errors(self._errors), whole(rows)
        messages = rows
        if rows.element_type is not DeadLetter and (self._key or rows.element_type is not Message):
            messages = rows | "To messages" >> errors.guard(Guarded(_AsMessage(self._key), Message, self.label))
        return errors.beside(messages | self.label >> errors.guard(self._write), rows)


class CommitOffsets(beam.PTransform):
    """Moves a group's position forward, when everything that was made of its messages has been written.

    Its inputs have names, `input: {orders: Orders, emails: Emails, dead: Park}`: all ReadFromQueue whose messages are
    to be committed, and all WriteToQueue of the pipeline, those for errors included.
    """

    def __init__(self) -> None:
        super().__init__()

    def expand(self, inputs: Any) -> PCollection:
        """What has been committed."""
        streams = [inputs] if isinstance(inputs, PCollection) else list(inputs.values())
        reads = [stream for stream in streams if was_read(stream)]
        written = tuple([stream for stream in streams if stream not in reads])
        if not reads or not written:
            raise ValueError(
                "CommitOffsets takes ReadFromQueue and WriteToQueue by name, at least one of each: "
                "input: {orders: Orders, emails: Emails, dead: Park}"
            )
        return written | self.label >> queues.CommitOffsets(*reads)


class DeadLetters(beam.PTransform):
    """The errors of any transform as dead letters, ready to be written to a queue and sent back from there.

    Its input is any number of error outputs, of these transforms or of Beam's own.
    """

    def __init__(self) -> None:
        super().__init__()

    def expand(self, errors: PCollection) -> PCollection:
        """One dead letter per error."""
        letters = whole(errors)
        if letters.element_type is DeadLetter:
            return letters
        return letters | "Letters" >> beam.Map(_letter, label=self.label).with_output_types(DeadLetter)


def decoded(messages: PCollection, schema: Any, errors: Errors, step: str) -> PCollection:
    """Messages as rows of a JSON schema; as they are if there is none."""
    if not schema:
        return messages
    parse = _Parse(schema)
    return messages | "To rows" >> errors.guard(Guarded(parse, parse.row_type(), step))


class _Parse:
    """Messages to rows. Beam's JSON is loaded where it is needed: not everybody has Beam's yaml extra."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = {"type": "object", **schema}

    def row_type(self) -> Any:
        """Of the rows."""
        from apache_beam.yaml.json_utils import json_schema_to_beam_schema

        return schemas.named_tuple_from_schema(json_schema_to_beam_schema(self._schema))

    def __call__(self, message: Message) -> Any:
        """The row in a message."""
        if not hasattr(self, "_parser"):
            from apache_beam.yaml.json_utils import json_parser, json_schema_to_beam_schema

            self._parser = json_parser(json_schema_to_beam_schema(self._schema), self._schema)
        return self._parser(message.value or b"")

    def __getstate__(self) -> Any:
        return {"_schema": self._schema}


class _AsMessage:
    def __init__(self, key: Ask | None) -> None:
        self._key = key

    def __call__(self, row: Any) -> Message:
        message = as_message(row)
        if self._key is None or message.key is not None:
            return message
        key = self._key(item_of(row))
        return message._replace(key=key if isinstance(key, bytes) else str(key).encode())


def _letter(error: Any, label: str) -> DeadLetter:
    fields = error._asdict()
    if set(fields) != set(_BEAM_ERROR):
        raise TypeError(f"{label}: rows of {', '.join(fields)} are no errors; give it error outputs only")
    letter = DeadLetter.of(as_message(fields["element"]), RuntimeError(fields["msg"]), step=label)
    return letter._replace(traceback=fields["stack"])
