"""User telemetry events: their checks, their times, and which of them are late."""

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue

from beam_patterns.pipelines.parts.fields import fields_of
from beam_patterns.transforms.queues import Message

__all__ = ["Event", "InTime", "LateError", "arrived", "at_its_time"]

_ARRIVED = "arrived"


class Event(NamedTuple):
    """A measurement."""

    metric: str
    user: str
    value: float
    at: float
    """Seconds since the epoch."""

    @staticmethod
    def of(message: Message) -> "Event":
        """The event in a JSON message with metric, user, value and at (RFC 3339). Raises ValueError for any other."""
        data = fields_of(message)
        for name in ("metric", "user", "at"):
            if not isinstance(data.get(name), str) or not data[name]:
                raise ValueError(f"the field {name!r} is {data.get(name)!r}, not text")
        return Event(data["metric"], data["user"], _number(data.get("value")), _seconds(data["at"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"the field 'value' is {value!r}, not a number")
    return float(value)


def _seconds(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the field 'at' is {text!r}, not a time such as 2026-03-01T12:00:07Z") from None
    if when.tzinfo is None:
        raise ValueError(f"the field 'at' is {text!r}, which has no time zone; append Z or +02:00")
    return when.timestamp()


class LateError(Exception):
    """An event came after its window had closed for good."""


def arrived(message: Message, timestamp: Any = beam.DoFn.TimestampParam) -> Message:
    """The message with the time of its record in the source. The watermark is at most there."""
    return message.with_attributes(**{_ARRIVED: str(float(timestamp)).encode()})


class InTime:
    """The event in a message. Raises LateError for an event whose window the runner would drop silently."""

    def __init__(self, window: float, lateness: float) -> None:
        self._window, self._lateness = window, lateness

    def __call__(self, message: Message) -> Event:
        event = Event.of(message)
        closes = (event.at // self._window + 1) * self._window + self._lateness
        came = float(message.attribute(_ARRIVED) or b"-inf")
        if came >= closes:
            closed = datetime.fromtimestamp(closes, UTC).isoformat()
            raise LateError(f"the event came {came - closes:.0f} s after its window closed for good at {closed}")
        return event


def at_its_time(event: Event) -> Any:
    """The event with its own time as its timestamp."""
    return TimestampedValue(event, event.at)
