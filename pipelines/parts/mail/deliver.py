"""The step that sends mails."""

from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

from apache_beam.pvalue import PCollection, TaggedOutput

from beam_patterns.transforms.extend import DEAD, Guard, GuardedPattern, GuardedStep, apply_guarded
from beam_patterns.transforms.queues import Message

from .outbox import Outbox, RefusedError

__all__ = ["Deliver"]

_COUNTERS = ("in", "out", "dead", "duplicates")
_REMEDY = "Add .with_error_handler(...) to send such messages to a dead-letter queue."


class Deliver(GuardedPattern[PCollection[Message], PCollection[str]]):
    """Writes a mail for each message and puts it into an outbox, once.

    Args:
        outbox: where mails go.
        compose: the mail for a message, with a deterministic Message-ID.

    In: PCollection[Message].
    Out: PCollection[str], the Message-IDs that are in the outbox, for CommitOffsets to wait on.
    Streaming: element by element.
    Failure: a mail that can't be composed or is refused goes to the error handler as a DeadLetter that holds the
    message, or fails the run; an outbox that takes nothing fails the run with a QueueError.
    Delivery: once per Message-ID into a Maildir; over SMTP the one in flight when a run is killed may come twice.
    Source: Burns, Designing Distributed Systems, chapter 11, hands-on.
    """

    def __init__(self, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        super().__init__()
        self._outbox, self._compose = outbox, compose

    def expand(self, messages: PCollection) -> PCollection:
        """The ids of the mails that are in the outbox."""
        fn = _Deliver(Guard(self, Message, counters=_COUNTERS, remedy=_REMEDY), self._outbox, self._compose)
        return apply_guarded(self, messages, fn, {"delivered": str}, verb="Send", label="ParDo(_Deliver)")[0]


class _Deliver(GuardedStep):
    def __init__(self, guard: Guard, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        super().__init__(guard)
        self._outbox, self._compose, self._open = outbox, compose, False

    def process(self, message: Message) -> Iterator[Any]:
        self._guard.count({"in": 1})
        if not self._open:  # Not in setup: a run without mails needs no server.
            self._outbox.open()
            self._open = True
        try:
            mail = self._compose(message)
            fresh = self._outbox.send(mail)
        except (RefusedError, ValueError) as error:
            letter = self._guard.letter(message, error, complaint=str(error))
            self._guard.count({"dead": 1})
            yield TaggedOutput(DEAD, letter)
        else:
            self._guard.count({"out" if fresh else "duplicates": 1})
            yield str(mail["Message-ID"])
        self._guard.passed(1)

    def finish_bundle(self) -> None:
        if self._open:
            self._outbox.flush()

    def teardown(self) -> None:
        if self._open:
            self._outbox.close()
