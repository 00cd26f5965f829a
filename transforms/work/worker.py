"""A running worker, seen from the Beam worker."""

import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator
from hashlib import blake2b
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from .task import DONE, ENTERED, MADE, Failure, Item, Job, Outcome, failure_of
from .worker_main import dumps

__all__ = ["Worker", "WorkerCrashedError", "WorkerEndedError"]

_MOST_WORDS = 10_000


class Worker:
    """A running worker, seen from its thread."""

    def __init__(self, pid: int, connection: Connection, last_words: IO[bytes]) -> None:
        self.pid, self._connection, self._last_words = pid, connection, last_words
        self._stage = ""
        # A worker's own children may hold its connection open, so its death is watched as well as its silence.
        self._death = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    @property
    def dead(self) -> bool:
        """Whether it died since its last item, of a thread that this left behind; no other item shall pay for that."""
        return self._death is not None and bool(wait([self._death], 0))

    def attempt(self, job: Job, timeout: float | None) -> Outcome:
        """Sends the item and listens until its outcome. Raises WorkerEndedError if the worker must go, or is gone."""
        self._stage, job.started_at = "", time.perf_counter()
        try:
            request = dumps(Item(job.element, job.made))
        except Exception as error:  # The worker never sees it.
            return Outcome([], failure_of(error), error=error)
        try:
            self._connection.send_bytes(request)
            del request
            for news in self._news(None if timeout is None else time.monotonic() + timeout):
                if news[:1] == DONE:
                    return _outcome(news)
                self._hear(news[:1], pickle.loads(news[1:]), job)  # noqa: S301 (written by this run's own worker)
        except (EOFError, ConnectionError):
            raise WorkerEndedError(self._stage, None, self._last_words) from None
        raise WorkerEndedError(self._stage, timeout, self._last_words)

    def _hear(self, kind: bytes, said: Any, job: Job) -> None:
        if kind == ENTERED:
            self._stage = said
        elif kind == MADE:
            stage, value = said
            job.made[stage] = value
        else:
            record = logging.makeLogRecord(said)
            logging.getLogger(record.name).handle(record)

    def _news(self, deadline: float | None) -> Iterator[bytes]:
        sources: list[Any] = [self._connection, *([] if self._death is None else [self._death])]
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            ready = wait(sources, left)
            if not ready:
                return
            if self._connection not in ready:
                raise EOFError
            yield self._connection.recv_bytes()

    def close(self) -> None:
        """Gives back the file descriptors."""
        self._connection.close()
        self._last_words.close()
        if self._death is not None:
            os.close(self._death)


def _outcome(news: bytes) -> Outcome:
    try:
        return pickle.loads(memoryview(news)[1:])  # noqa: S301 (as above)
    except Exception as error:  # A result of a class that is not known here.
        return Outcome([], failure_of(error), error=error)


class WorkerEndedError(Exception):
    """A worker that was too slow, or died."""

    def __init__(self, stage: str, timeout: float | None, last_words: IO[bytes]) -> None:
        super().__init__()
        self._where = f"; in stage {stage!r}" if stage else ""
        self._timeout, self._last_words = timeout, last_words

    def outcome(self, exit_code: int) -> Outcome:
        """In words, given how the process really ended: it may have died just before it was too slow."""
        if self._timeout is not None and exit_code == -signal.SIGKILL:
            sentence = f"no result within {self._timeout:g} s, so its process and all that this started were ended"
            error: Exception = TimeoutError(sentence + self._where)
            return Outcome([], failure_of(error), error=error)
        reason = _reason(exit_code)
        error = WorkerCrashedError(f"the worker process ended with {reason}{self._where}")
        failure = Failure(
            "WorkerCrashedError", str(error), self._told(), blake2b(reason.encode(), digest_size=8).hexdigest()
        )
        return Outcome([], failure, error=error)

    def _told(self) -> str:
        """What Python's fault handler wrote: where a segmentation fault happened."""
        told = os.pread(self._last_words.fileno(), _MOST_WORDS, 0).decode("utf-8", "replace")
        return told.partition("Extension modules:")[0].strip()


class WorkerCrashedError(Exception):
    """The process that worked on the item died: a segmentation fault, an exit, out of memory."""


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    number = signal.Signals(-exit_code)
    hint = ", as the system does when memory runs out" if number == signal.SIGKILL else ""
    return f"{number.name} ({signal.strsignal(number)}{hint})"
