"""Delivery by a mail server."""

import os
import smtplib
import ssl
import time
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

from beam_patterns.transforms.queues import QueueError

from .outbox import Outbox, RefusedError

__all__ = ["SmtpOutbox"]

_TIMEOUT = 20
_ATTEMPTS = 3
_USER, _PASSWORD = "BEAM_PATTERNS_SMTP_USER", "BEAM_PATTERNS_SMTP_PASSWORD"


class SmtpOutbox(Outbox):
    """Sends by SMTP over one connection, with STARTTLS where the server offers it.

    The user name and password come from the environment variables BEAM_PATTERNS_SMTP_USER and
    BEAM_PATTERNS_SMTP_PASSWORD, and are only sent encrypted. A mail is recorded when the server has accepted it; a kill
    between the two delivers this one mail twice, with the same Message-ID.
    """

    _server: smtplib.SMTP | None = None

    def __init__(self, host: str, port: int, sent: Path) -> None:
        super().__init__(f"smtp://{host}:{port}", sent)
        self._host, self._port = host, port

    def _deliver(self, mail: EmailMessage) -> bool:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._connected().send_message(mail)
                self._remember([mail["Message-ID"]])
                return True
            except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
                code, reason = _answer(error)
                if code >= 500 or attempt == _ATTEMPTS:
                    raise RefusedError(f"{self} refused {mail['To']}: {code} {reason}") from error
            except smtplib.SMTPNotSupportedError as error:
                raise RefusedError(f"{self} can't deliver to {mail['To']}: {error}") from error
            except (smtplib.SMTPException, OSError) as error:
                self._disconnect()
                if attempt == _ATTEMPTS or isinstance(error, smtplib.SMTPAuthenticationError | ssl.SSLError):
                    raise QueueError(f"can't use the mail server {self}: {_reason(error)}") from error
            time.sleep(0.5 * 2**attempt)
        raise AssertionError("every attempt returns or raises")

    def _connected(self) -> smtplib.SMTP:
        if self._server is None:
            server = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT)
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if _USER in os.environ:
                _log_in(server)
            self._server = server
        return self._server

    def _disconnect(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Closes the connection to the server."""
        if self._server is not None:
            with suppress(smtplib.SMTPException, OSError):  # The server has accepted all mails and may close first.
                self._server.quit()
        self._disconnect()
        super().close()


def _log_in(server: smtplib.SMTP) -> None:
    if not isinstance(server.sock, ssl.SSLSocket):
        raise ssl.SSLError(f"{_USER} is set, but the server offers no STARTTLS, and passwords are only sent encrypted")
    server.login(os.environ[_USER], os.environ.get(_PASSWORD, ""))


def _answer(error: Exception) -> tuple[int, str]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, reason = next(iter(error.recipients.values()))
    else:
        code, reason = error.smtp_code, error.smtp_error  # type: ignore[attr-defined]
    return code, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return "{} {}".format(*_answer(error))
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
