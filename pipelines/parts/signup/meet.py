"""Sign-ups meet their confirmations in a stream."""

from datetime import timedelta
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import TimestampedValue

from beam_patterns.transforms import Join, Joined, Splitter
from beam_patterns.transforms.extend import GuardedPattern
from beam_patterns.transforms.queues import Message

from .records import CONFIRMATION, SIGNUP, Event

__all__ = ["Meet", "Met"]


class Met(NamedTuple):
    """What becomes of the users; each a PCollection[Message]."""

    confirmed: PCollection
    """Sign-ups whose confirmation has come."""
    expired: PCollection
    """What has waited too long, marked as what it is."""


class Meet(GuardedPattern[Any, Any]):
    """Joins each sign-up with its confirmation as they come; what finds no partner in time expires.

    ```
    sign-ups ------+               +--> confirmed, as soon as both are there
                   +--> Meet ------+
    confirmations -+   by user id  +--> expired, when one has waited too long alone
    ```

    Args:
        expire_after: how long a record may wait, in event time.

    In: a pair of PCollection[Event], sign-ups and confirmations.
    Out: Met, two PCollection[Message].
    Streaming: a record's time is its message's own; the runner's state holds it until its partner comes, and the user
    for as long again, so that a repetition is told from a new user.
    Failure: a record that comes when its partner has expired goes to the error handler as a DeadLetter.
    Source: Burns, Designing Distributed Systems, chapter 12 (join), and the hands-on of chapter 11.
    """

    def __init__(self, expire_after: timedelta) -> None:
        super().__init__()
        self._seconds = expire_after.total_seconds()

    def expand(self, inputs: Any) -> Any:
        """One Joined per user, complete or not."""
        events = {
            kind: stream | f"At {kind}" >> beam.ParDo(_AtItsTime()).with_output_types(Event)
            for kind, stream in zip((SIGNUP, CONFIRMATION), inputs, strict=True)
        }
        join = Join(key=_user).with_deadline(self._seconds).with_partial_groups()
        users = events | "Join" >> join.with_error_handler(self._handler)
        either = users | "Complete" >> Splitter(confirmed=_is_complete)
        return Met(
            either.confirmed | "Confirmed" >> beam.Map(_signup).with_output_types(Message),
            either.otherwise | "Expired" >> beam.Map(_alone).with_output_types(Message),
        )


class _AtItsTime(beam.DoFn):
    """A batch of a queue has one time, its earliest; waiting is counted from each message's own."""

    def process(self, event: Event, timestamp: Any = beam.DoFn.TimestampParam) -> Any:
        yield TimestampedValue(event, max(float(timestamp), event.first_seen))


def _user(event: Event) -> str:
    return event.user_id


def _is_complete(user: Joined) -> bool:
    return not user.missing


def _signup(user: Joined) -> Message:
    return user.parts[SIGNUP].message


def _alone(user: Joined) -> Message:
    (event,) = user.parts.values()
    return event.to_wait()
