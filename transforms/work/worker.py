"""The Beam worker's side of a worker process."""

import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator
from hashlib import blake2b
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from .task import Failure, Job, MessageKind, Outcome, failure_of, signal_name
from .worker_main import dumps

__all__ = ["WorkerCrashedError", "WorkerProcess"]

_MAX_CRASH_OUTPUT = 10_000


class WorkerCrashedError(Exception):
    """The process that worked on the item died, for example of a segmentation fault or because memory ran out."""


class WorkerProcess:
    """A running worker process, used by one thread."""

    def __init__(self, pid: int, connection: Connection, crash_output: IO[bytes]) -> None:
        self.pid, self._connection, self._crash_output = pid, connection, crash_output
        self._stage, self._exceeded = "", 0.0
        # Children of the worker process may hold its connection open, so its exit is watched as well.
        self._pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    @property
    def has_exited(self) -> bool:
        """Whether the process ended after its last item, for example by a thread that the item left running."""
        return self._pidfd is not None and bool(wait([self._pidfd], 0))

    def attempt(self, job: Job, timeout: float | None) -> Outcome | None:
        """The outcome of the job's next attempt; None if the process died or took too long: then kill it."""
        self._stage, self._exceeded, job.started_at = "", 0.0, time.perf_counter()
        try:
            request = dumps((job.element, job.stage_results))
        except Exception as error:  # The item was not sent: it can't be pickled.
            return Outcome([], failure_of(error), error=error)
        try:
            self._connection.send_bytes(request)
            del request
            for message in self._messages(None if timeout is None else time.monotonic() + timeout):
                if message[:1] == MessageKind.OUTCOME:
                    return _outcome(message)
                self._handle(message[:1], pickle.loads(message[1:]), job)  # noqa: S301 (from this run's own worker)
        except (EOFError, ConnectionError):
            return None
        self._exceeded = timeout or 0.0
        return None

    def outcome_of_end(self, exit_code: int) -> Outcome:
        """The outcome of the attempt in which the process ended, given its exit code."""
        where = f"; in stage {self._stage!r}" if self._stage else ""
        if self._exceeded and exit_code == -signal.SIGKILL:  # Otherwise it crashed just before it was killed.
            sentence = f"no result within {self._exceeded:g} s; the worker process and all it started were killed"
            error: Exception = TimeoutError(sentence + where)
            return Outcome([], failure_of(error), error=error)
        reason = f"exit code {exit_code}"
        if exit_code < 0:
            hint = ", which the kernel sends when memory runs out" if exit_code == -signal.SIGKILL else ""
            reason = f"{signal_name(-exit_code)} ({signal.strsignal(-exit_code)}{hint})"
        error = WorkerCrashedError(f"the worker process ended with {reason}{where}")
        fingerprint = blake2b(reason.encode(), digest_size=8).hexdigest()
        return Outcome([], Failure("WorkerCrashedError", str(error), self._crash_traceback(), fingerprint), error=error)

    def close(self) -> None:
        """Closes the file descriptors."""
        self._connection.close()
        self._crash_output.close()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _messages(self, deadline: float | None) -> Iterator[bytes]:
        sources: list[Any] = [self._connection, *([] if self._pidfd is None else [self._pidfd])]
        while True:
            ready = wait(sources, None if deadline is None else max(deadline - time.monotonic(), 0))
            if not ready:
                return
            if self._connection not in ready:
                raise EOFError
            yield self._connection.recv_bytes()

    def _handle(self, kind: bytes, content: Any, job: Job) -> None:
        if kind == MessageKind.STAGE_STARTED:
            self._stage = content
        elif kind == MessageKind.STAGE_RESULT:
            stage, result = content
            job.stage_results[stage] = result
        else:
            record = logging.makeLogRecord(content)
            logging.getLogger(record.name).handle(record)

    def _crash_traceback(self) -> str:
        """The output of Python's fault handler, which shows where a segmentation fault happened."""
        output = os.pread(self._crash_output.fileno(), _MAX_CRASH_OUTPUT, 0).decode("utf-8", "replace")
        return output.partition("Extension modules:")[0].strip()


def _outcome(message: bytes) -> Outcome:
    try:
        return pickle.loads(memoryview(message)[1:])  # noqa: S301 (as above)
    except Exception as error:  # The class of a result can't be imported here.
        return Outcome([], failure_of(error), error=error)
