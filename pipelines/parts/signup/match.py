"""Sign-ups are matched with their confirmations, in a run or in a stream."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import TimestampedValue

from beam_patterns.transforms import Join, Joined, Splitter
from beam_patterns.transforms.extend import GuardedPattern
from beam_patterns.transforms.queues import Message

from .records import CONFIRMATION, SIGNUP, Event

__all__ = ["Match", "MatchStream", "Matched"]


class Matched(NamedTuple):
    """The users of one run."""

    new: PCollection
    """Users whose sign-up came in this run; the outbox knows whether they have had their mail."""
    confirmed: PCollection
    """Sign-ups with a confirmation."""
    pending: PCollection
    """Sign-ups without a confirmation and confirmations without a sign-up, for the next run."""
    expired: PCollection
    """Records that have waited too long."""


class Match(beam.PTransform):
    """Joins each sign-up with its confirmation by user id; a record without a partner waits, and finally expires.

    ```
    sign-ups ------+                +--> new:       users who get a verification mail
    confirmations -+--> Match ------+--> confirmed
    pending -------+    by user id  +--> pending:   for the next run
                                    +--> expired
    ```

    Of several sign-ups of one user the earliest counts, and so with confirmations; the others are counted as
    duplicates. A pending record wins over a new one, so a run that is repeated after a kill changes nothing.

    Args:
        now: the time of this run, seconds since the epoch.
        expire_after: how long a record may wait.

    In: PCollection[Event].
    Out: Matched, four PCollection[Message], each message unchanged (pending and expired ones have two more attributes).
    Streaming: bounded input only; a group is complete when the run has read everything.
    Failure: none, records are checked upstream.
    Source: Burns, Designing Distributed Systems, chapter 12 (join), and the hands-on of chapter 11.
    """

    def __init__(self, now: float, expire_after: timedelta) -> None:
        super().__init__()
        self._oldest = now - expire_after.total_seconds()

    def expand(self, events: PCollection) -> Any:  # Beam has no type hint for several outputs.
        """The four streams."""
        outputs = (
            events
            | "Key" >> beam.Map(_by_user).with_output_types(tuple[str, Event])
            | "Meet" >> beam.GroupByKey()
            | "Decide" >> beam.ParDo(_Decide(self._oldest)).with_outputs(*Matched._fields)
        )
        for name in Matched._fields:
            outputs[name].element_type = Message
        return Matched(*(outputs[name] for name in Matched._fields))


class MatchStream(GuardedPattern[Any, Any]):
    """Joins each sign-up with its confirmation as soon as both are there; a record without a partner expires.

    Args:
        expire_after: how long a record may wait, in event time.

    In: a pair of PCollection[Event], sign-ups and confirmations.
    Out: a pair of PCollection[Message]: sign-ups whose confirmation has come, and records that have waited too long,
    with the attributes of pending records.
    Streaming: a record's time is its message's own; the runner's state holds it until its partner comes, and the user
    for as long again, so that a repetition is not taken for a new user.
    Failure: a record that comes after its partner has expired goes to the error handler as a DeadLetter.
    Source: Burns, Designing Distributed Systems, chapter 12 (join), and the hands-on of chapter 11.
    """

    def __init__(self, expire_after: timedelta) -> None:
        super().__init__()
        self._seconds = expire_after.total_seconds()

    def expand(self, inputs: Any) -> Any:
        """The two streams."""
        events = {
            kind: stream | f"At {kind}" >> beam.Map(_at_its_time).with_output_types(Event)
            for kind, stream in zip((SIGNUP, CONFIRMATION), inputs, strict=True)
        }
        join = Join(key=_user_id).with_deadline(self._seconds).with_partial_groups()
        users = events | "Join" >> join.with_error_handler(self._handler)
        split = users | "Complete" >> Splitter(confirmed=_is_complete)
        return (
            split.confirmed | "Confirmed" >> beam.Map(_signup).with_output_types(Message),
            split.otherwise | "Expired" >> beam.Map(_alone).with_output_types(Message),
        )


class _Decide(beam.DoFn):
    def __init__(self, oldest: float) -> None:
        self._oldest = oldest
        names = ("in", "out", "duplicates", *Matched._fields)
        self._counters = {name: Metrics.counter("Match", name) for name in names}

    def process(self, group: tuple[str, Iterable[Event]]) -> Iterator[Any]:
        events = list(group[1])
        signups = [event for event in events if event.kind == SIGNUP]
        signup = _earliest(signups)
        confirmation = _earliest(event for event in events if event.kind == CONFIRMATION)
        used = [event for event in (signup, confirmation) if event]
        self._count("in", len(events))
        self._count("out", len(used))
        self._count("duplicates", len(events) - len(used))
        # A pending sign-up that comes again too: a run may have been killed after it had written the pending record,
        # but before the mail.
        if signup and not all(event.was_pending for event in signups):
            yield self._to("new", signup.message)
        if signup and confirmation:
            yield self._to("confirmed", signup.message)
            return
        (alone,) = used
        yield self._to("expired" if alone.first_seen < self._oldest else "pending", alone.pending_message())

    def _to(self, name: str, message: Message) -> TaggedOutput:
        self._count(name, 1)
        return TaggedOutput(name, message)

    def _count(self, name: str, number: int) -> None:
        self._counters[name].inc(number)


def _earliest(events: Iterable[Event]) -> Event | None:
    """The event that was seen first; among those of one run in an order that is the same in every repetition."""
    return min(
        events, key=lambda e: (not e.was_pending, e.first_seen, e.message.source or (), e.message.value), default=None
    )


def _at_its_time(event: Event, timestamp: Any = beam.DoFn.TimestampParam) -> Any:
    """The event with its own time; all messages of a batch have the batch's time, which is the earliest."""
    return TimestampedValue(event, max(float(timestamp), event.first_seen))


def _by_user(event: Event) -> tuple[str, Event]:
    return event.user_id, event


def _user_id(event: Event) -> str:
    return event.user_id


def _is_complete(user: Joined) -> bool:
    return not user.missing


def _signup(user: Joined) -> Message:
    return user.parts[SIGNUP].message


def _alone(user: Joined) -> Message:
    (event,) = user.parts.values()
    return event.pending_message()
