"""User telemetry events: checked, stamped, in time or late."""

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue

from beam_patterns.transforms.queues import Message

__all__ = ["Event", "InTime", "LateError", "arrived", "at_its_time"]

_ARRIVED = "arrived"


class Event(NamedTuple):
    """Something that was measured."""

    metric: str
    user: str
    value: float
    at: float
    """Seconds since the epoch."""

    @staticmethod
    def of(message: Message) -> "Event":
        """Of a JSON message with metric, user, value and at (RFC 3339). Raises ValueError for anything else."""
        data = message.json()
        if not isinstance(data, dict):
            raise ValueError(f"not a JSON object but {type(data).__name__}")
        for name in ("metric", "user", "at"):
            if not isinstance(data.get(name), str) or not data[name]:
                raise ValueError(f"the field {name!r} is {data.get(name)!r}, which is no text")
        return Event(data["metric"], data["user"], _number(data.get("value")), _seconds(data["at"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"the field 'value' is {value!r}, which is no number")
    return float(value)


def _seconds(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the field 'at' is {text!r}, which is no time") from None
    if when.tzinfo is None:
        raise ValueError(f"the field 'at' is {text!r}, which does not say in which time zone; write Z or +02:00")
    return when.timestamp()


class LateError(Exception):
    """An event came after its window had been closed for good."""


def arrived(message: Message, timestamp: Any = beam.DoFn.TimestampParam) -> Message:
    """The message with the time at which the source had it: so far the watermark can be at most."""
    return message.with_attributes(**{_ARRIVED: str(float(timestamp)).encode()})


class InTime:
    """The event of a message. Raises LateError for an event whose window the runner would drop silently."""

    def __init__(self, window: float, lateness: float) -> None:
        self._window, self._lateness = window, lateness

    def __call__(self, message: Message) -> Event:
        event = Event.of(message)
        closes = (event.at // self._window + 1) * self._window + self._lateness
        came = float(message.attribute(_ARRIVED) or b"-inf")
        if came >= closes:
            closed = datetime.fromtimestamp(closes, UTC).isoformat()
            raise LateError(f"the event came {came - closes:.0f} s after its window was closed for good at {closed}")
        return event


def at_its_time(event: Event) -> Any:
    """The event, stamped with its own time."""
    return TimestampedValue(event, event.at)
