"""How notices reach customers, one order at a time."""

from collections.abc import Callable
from email.message import EmailMessage

from beam_patterns.pipelines.parts.mail import Outbox
from beam_patterns.pipelines.parts.mail.outbox import RefusedError
from beam_patterns.transforms.queues import Message, Writer, open_queue
from beam_patterns.transforms.work import PermanentError

__all__ = ["Mailer", "QueueSender", "worth_another_try"]


class Mailer:
    """A worker: an order in, the Message-ID of the mail that tells of it out."""

    def __init__(self, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        self._outbox, self._compose, self._open = outbox, compose, False

    def __call__(self, order: Message) -> str:
        """Delivers the mail, unless the outbox has had it."""
        mail = self._compose(order)
        if not self._open:
            self._outbox.open()
            self._open = True
        self._outbox.send(mail)
        self._outbox.flush()
        return str(mail["Message-ID"])


class QueueSender:
    """A worker: a message in, the same out when it is in the queue."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._writer: Writer | None = None

    def __call__(self, message: Message) -> Message:
        """Returns when it is durable."""
        self._writer = self._writer or open_queue(self._uri).writer()
        self._writer.write([message])
        for rejected in self._writer.flush():
            raise PermanentError(f"{self._uri} refused it: {rejected.error}")
        return message


def worth_another_try(error: BaseException) -> bool:
    """Neither an order that lacks something nor a recipient that was refused gets better by waiting."""
    return not isinstance(error, ValueError | RefusedError)
