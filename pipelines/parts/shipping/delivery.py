"""Workers that deliver notices, one order at a time."""

from collections.abc import Callable
from email.message import EmailMessage

from beam_patterns.pipelines.parts.mail import Outbox, RefusedError
from beam_patterns.transforms.queues import Message, Writer, open_queue
from beam_patterns.transforms.work import PermanentError

__all__ = ["Mailer", "QueueSender", "can_be_retried"]


class Mailer:
    """A worker that mails the notice of an order and returns the mail's Message-ID."""

    def __init__(self, outbox: Outbox, compose: Callable[[Message], EmailMessage]) -> None:
        self._outbox, self._compose = outbox, compose

    def __call__(self, order: Message) -> str:
        """Delivers the mail, unless the outbox has delivered it before."""
        mail = self._compose(order)
        self._outbox.send(mail)
        self._outbox.flush()
        return str(mail["Message-ID"])


class QueueSender:
    """A worker that writes a message to a queue and returns it."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._writer: Writer | None = None

    def __call__(self, message: Message) -> Message:
        """Returns when the message is durable."""
        self._writer = self._writer or open_queue(self._uri).writer()
        self._writer.write([message])
        for rejected in self._writer.flush():
            raise PermanentError(f"{self._uri} rejected the message: {rejected.error}")
        return message


def can_be_retried(error: BaseException) -> bool:
    """Whether another attempt may succeed: not for an invalid order, and not for a recipient who was refused."""
    return not isinstance(error, ValueError | RefusedError)
