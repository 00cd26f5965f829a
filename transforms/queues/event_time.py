"""A message's time from a field of its JSON, where the queue's own time is another."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints import List

from ..core.batches import Aside, with_asides
from ..core.counters import step_counters
from ..core.message import Message
from ..core.routing import ElementError, shortened
from ..dead_letters import DeadLetter

__all__ = ["TakeTime", "time_in"]

_DEAD = "dead"
#: In seconds; in what lies beyond somebody counted milliseconds.
_YEAR_3000 = 32_503_680_000


def time_in(message: Message, field: str) -> float:
    """Seconds since 1970: the number that the field is, or the moment that it names; a ValueError says why not."""
    data = message.json()
    value = data.get(field) if isinstance(data, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _YEAR_3000:
        return float(value)
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(
            f"the field {field!r} is {str(value)[:100]!r}, neither a time such as 2026-03-01T09:30:00Z nor seconds "
            "since 1970"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class TakeTime(beam.PTransform):
    """Puts the field's time into each message; one without goes to the error handler, or fails the run."""

    def __init__(self, field: str, handler: Any) -> None:
        super().__init__()
        self._field, self._handler = field, handler

    def expand(self, messages: PCollection) -> PCollection:
        """The messages, in the batches they came in."""
        step = beam.ParDo(_Take(self._field, self.label, self._handler is not None))
        step.label = "Messages"  # Else the class name would be a label.
        outputs = messages | "Take" >> step.with_outputs(_DEAD, main="messages")
        with_asides(step)
        outputs.messages.element_type, outputs[_DEAD].element_type = Message, DeadLetter
        if self._handler is not None:
            self._handler.add_error_pcollection(outputs[_DEAD])
        return outputs.messages


class _Take(beam.DoFn):
    def __init__(self, field: str, step: str, guarded: bool) -> None:
        self._field, self._step, self._guarded = field, step, guarded

    def start_bundle(self) -> None:
        self._in, self._out, self._dead = step_counters("EventTime", ("in", "out", "dead"))

    def process(self, message: Message) -> Iterator[Any]:
        messages, letters = self._timed([message])
        yield from messages
        yield from (TaggedOutput(_DEAD, letter) for letter in letters)

    def process_batch(self, batch: Any) -> Iterator[Any]:
        messages, letters = self._timed(batch)
        if messages:
            yield messages
        if letters:
            yield TaggedOutput(_DEAD, Aside(letters))

    def get_input_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Message

    def _timed(self, batch: list[Message]) -> tuple[list[Message], list[DeadLetter]]:
        messages, letters = list[Message](), list[DeadLetter]()
        for message in batch:
            try:
                messages.append(message._replace(timestamp=time_in(message, self._field)))
            except ValueError as error:
                if not self._guarded:
                    raise ElementError(
                        f"{self._step}: {error}, in {shortened(message)}. Add .with_error_handler(...) to send such "
                        "messages to a dead-letter queue."
                    ) from error
                letters.append(DeadLetter.of(message, error, step=self._step))
        self._in.inc(len(batch))
        self._out.inc(len(messages))
        self._dead.inc(len(letters))
        return messages, letters
