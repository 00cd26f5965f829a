"""The step that sends mails."""

from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from beam_patterns.transforms import DeadLetter, ElementError
from beam_patterns.transforms.core.routing import Pattern
from beam_patterns.transforms.queues import Message

from .outbox import Outbox, RefusedError

__all__ = ["Deliver"]

_DEAD = "dead"


class Deliver(Pattern):
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
        fn = _Deliver(self._outbox, self._compose, self.label, self._handler is not None)
        outputs = messages | "Send" >> beam.ParDo(fn).with_outputs(_DEAD, main="delivered")
        outputs.delivered.element_type, outputs[_DEAD].element_type = str, DeadLetter
        if self._handler is not None:
            self._handler.add_error_pcollection(outputs[_DEAD])
        return outputs.delivered


class _Deliver(beam.DoFn):
    def __init__(self, outbox: Outbox, compose: Any, step: str, guarded: bool) -> None:
        self._outbox, self._compose, self._step, self._guarded = outbox, compose, step, guarded
        self._in, self._out, self._dead, self._duplicates = (
            Metrics.counter("Deliver", name) for name in ("in", "out", "dead", "duplicates")
        )
        self._open = False

    def process(self, message: Message) -> Iterator[Any]:
        self._in.inc()
        if not self._open:  # Not in setup: a run without mails needs no server.
            self._outbox.open()
            self._open = True
        try:
            mail = self._compose(message)
            fresh = self._outbox.send(mail)
        except (RefusedError, ValueError) as error:
            yield TaggedOutput(_DEAD, self._failed(message, error))
        else:
            (self._out if fresh else self._duplicates).inc()
            yield str(mail["Message-ID"])

    def finish_bundle(self) -> None:
        if self._open:
            self._outbox.flush()

    def _failed(self, message: Message, error: Exception) -> DeadLetter:
        if not self._guarded:
            raise ElementError(
                f"{self._step}: {error}. Add .with_error_handler(...) to send such messages to a dead-letter queue."
            ) from error
        self._dead.inc()
        return DeadLetter.of(message, error, step=self._step)

    def teardown(self) -> None:
        if self._open:
            self._outbox.close()
