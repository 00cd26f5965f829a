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
    """Composes a mail for each message and delivers it, once.

    Args:
        outbox: where mails go.
        compose: the mail for a message, with a deterministic Message-ID.

    In: PCollection[Message].
    Out: PCollection[str], the Message-IDs of delivered mails, for CommitOffsets to wait for.
    Streaming: element by element.
    Failure: a message whose mail can't be composed or is refused goes to the error handler as a DeadLetter, or fails
    the run; an outbox that can't deliver any mail fails the run with a QueueError.
    Delivery: once per Message-ID into a Maildir; over SMTP the mail in flight when a run is killed may come twice.
    Source: Burns, Designing Distributed Systems, chapter 11, hands-on.
    """

    def __init__(self, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        super().__init__()
        self._outbox, self._compose = outbox, compose

    def expand(self, messages: PCollection) -> PCollection:
        """The ids of the delivered mails."""
        fn = _Deliver(Guard(self, Message, counters=_COUNTERS, remedy=_REMEDY), self._outbox, self._compose)
        return apply_guarded(self, messages, fn, {"delivered": str}, verb="Send", label="ParDo(_Deliver)")[0]


class _Deliver(GuardedStep):
    def __init__(self, guard: Guard, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        super().__init__(guard)
        self._outbox, self._compose = outbox, compose

    def process(self, message: Message) -> Iterator[Any]:
        self._guard.count({"in": 1})
        try:
            mail = self._compose(message)
            is_new = self._outbox.send(mail)
        except (RefusedError, ValueError) as error:
            letter = self._guard.letter(message, error, complaint=str(error))
            self._guard.count({"dead": 1})
            yield TaggedOutput(DEAD, letter)
        else:
            self._guard.count({"out" if is_new else "duplicates": 1})
            yield str(mail["Message-ID"])
        self._guard.passed(1)

    def finish_bundle(self) -> None:
        self._outbox.flush()

    def teardown(self) -> None:
        self._outbox.close()
