"""A message's time from a field of its JSON, where that is not the queue's own time."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from ..base.guard import Guard
from ..base.mapping import map_elements
from ..base.message import Message

__all__ = ["TakeTime", "time_in"]

#: In seconds; larger numbers are probably milliseconds.
_YEAR_3000 = 32_503_680_000


def time_in(message: Message, field: str) -> float:
    """Seconds since 1970: the field's number, or the moment that its text names. Raises ValueError otherwise."""
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
    """Puts the field's time into each message. A message without one goes to the reading pattern's error handler."""

    def __init__(self, field: str, read: Any) -> None:
        super().__init__()
        self._field, self._read = field, read

    def expand(self, messages: PCollection) -> PCollection:
        """The messages, in the batches in which they came."""
        guard = Guard(
            self._read,
            Message,
            f"the time in the field {self._field!r}",
            counters=("in", "out", "dead"),
            counted_as="EventTime",
            remedy="Add .with_error_handler(...) to send such messages to a dead-letter queue.",
        )
        take = partial(_timed, field=self._field)
        return map_elements(self._read, messages, take, Message, guard, verb="Take", label="Messages")


def _timed(message: Message, field: str) -> Message:
    return message._replace(timestamp=time_in(message, field))
