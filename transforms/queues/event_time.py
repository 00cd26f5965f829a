"""A message's time from a field of its JSON, which replaces the queue's own time."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from ..base.guard import Guard
from ..base.mapping import map_elements
from ..base.message import Message

__all__ = ["WithEventTime", "event_time_of"]

#: In seconds since 1970. Larger numbers are probably milliseconds.
_YEAR_3000 = 32_503_680_000
_REMEDY = "Add .with_error_handler(...) to send such messages to a dead-letter queue."


def event_time_of(message: Message, field: str) -> float:
    """Seconds since 1970, from a field that holds them or a date and time as text. Raises ValueError otherwise."""
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


class WithEventTime(beam.PTransform):
    """Sets each message's timestamp from the field. A message without a time goes to the error handler of `read`."""

    def __init__(self, field: str, read: Any) -> None:
        super().__init__()
        self._field, self._read = field, read

    def expand(self, messages: PCollection) -> PCollection:
        code, counters = f"the time in the field {self._field!r}", ("in", "out", "dead")
        guard = Guard(self._read, Message, code, counters=counters, counted_as="EventTime", remedy=_REMEDY)
        function = partial(_with_event_time, field=self._field)
        return map_elements(self._read, messages, function, Message, guard, verb="Take", label="Messages")


def _with_event_time(message: Message, field: str) -> Message:
    return message._replace(timestamp=event_time_of(message, field))
