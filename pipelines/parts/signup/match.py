"""Sign-ups meet their confirmations."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_patterns.transforms.queues import Message

from .records import CONFIRMATION, SIGNUP, Event

__all__ = ["Match", "Matched"]


class Matched(NamedTuple):
    """What becomes of the users of one run."""

    new: PCollection
    """Users whose sign-up came in this run; the outbox knows whether they have had their mail."""
    confirmed: PCollection
    """Sign-ups whose confirmation is here."""
    pending: PCollection
    """Sign-ups without confirmation and confirmations without sign-up: to wait for the next run."""
    expired: PCollection
    """What has waited too long."""


class Match(beam.PTransform):
    """Joins each sign-up with its confirmation by user id; what finds no partner waits, and expires in the end.

    ```
    sign-ups ------+                +--> new:       to be asked for a confirmation
    confirmations -+--> Match ------+--> confirmed
    pending -------+    by user id  +--> pending:   for the next run
                                    +--> expired
    ```

    Of several sign-ups of one user the earliest counts, of several confirmations too; the others are counted as
    duplicates. One that has waited wins over a new one, so a run that is repeated after a kill changes nothing.

    Args:
        now: the time of this run, seconds since the epoch.
        expire_after: how long a record may wait.

    In: PCollection[Event].
    Out: Matched, four PCollection[Message], each message as it came in (those that wait are marked).
    Streaming: bounded input only; a group is complete when the run has read everything.
    Failure: none, records are checked before.
    Source: Burns, Designing Distributed Systems, chapter 12 (join), and the hands-on of chapter 11.
    """

    def __init__(self, now: float, expire_after: timedelta) -> None:
        super().__init__()
        self._oldest = now - expire_after.total_seconds()

    def expand(self, events: PCollection) -> Any:  # Beam has no word for several outputs in a type hint.
        """One group per user."""
        outputs = (
            events
            | "Key" >> beam.Map(_by_user).with_output_types(tuple[str, Event])
            | "Meet" >> beam.GroupByKey()
            | "Decide" >> beam.ParDo(_Decide(self._oldest)).with_outputs(*Matched._fields)
        )
        for name in Matched._fields:
            outputs[name].element_type = Message
        return Matched(*(outputs[name] for name in Matched._fields))


def _by_user(event: Event) -> tuple[str, Event]:
    return event.user_id, event


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
        # Also if it waits already: a run may have been killed after it had noted that, but before it wrote the mail.
        if signup and not all(event.known for event in signups):
            yield self._to("new", signup.message)
        if signup and confirmation:
            yield self._to("confirmed", signup.message)
            return
        (alone,) = used
        if alone.first_seen < self._oldest:
            yield self._to("expired", alone.to_wait())
        else:
            yield self._to("pending", alone.to_wait())

    def _to(self, name: str, message: Message) -> TaggedOutput:
        self._count(name, 1)
        return TaggedOutput(name, message)

    def _count(self, name: str, number: int) -> None:
        self._counters[name].inc(number)


def _earliest(events: Iterable[Event]) -> Event | None:
    """The one seen first; among those of one run an order that is the same however often it is repeated."""
    return min(events, key=lambda e: (not e.known, e.first_seen, e.message.source or (), e.message.value), default=None)
