"""The records that a pool and its worker processes exchange."""

import inspect
import signal
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

from ..base.dead_letter import DeadLetter

__all__ = ["Failure", "Job", "MessageKind", "Outcome", "PermanentError", "Task", "failure_of", "signal_name"]


class MessageKind:
    """First byte of each message from a worker process; the rest is pickled."""

    OUTCOME, STAGE_STARTED, STAGE_RESULT, LOG_RECORD = b"o", b"s", b"r", b"l"


class PermanentError(Exception):
    """Raised by a worker if no retry can succeed: the item becomes a dead letter at once."""


class Task(NamedTuple):
    """What a pool does with each item: created by the launcher, pickled once, the same for all worker processes."""

    work: Callable[[Any], Any]
    done_check: Callable[[Any], Any] | None
    is_worth_retrying: Callable[[BaseException], Any]
    log_level: int
    force: bool = False
    """Whether items that the done check knows are worked on again."""

    def results(self, returned: Any) -> list[Any]:
        """The item's results: all that a generator function yields, otherwise what the work returned."""
        last = getattr(self.work, "last_stage", self.work)
        several = inspect.isgeneratorfunction(last) or inspect.isgeneratorfunction(type(last).__call__)
        return list(returned) if several or isinstance(returned, Iterator) else [returned]


class Failure(NamedTuple):
    """Why an attempt failed, as text: not every exception can be pickled."""

    error_type: str
    message: str
    traceback: str
    fingerprint: str
    is_worth_retrying: bool = True
    retry_after: float | None = None
    """Seconds that a service asks to wait."""


class Outcome(NamedTuple):
    """How an attempt ended."""

    results: list[Any]
    failure: Failure | None
    skipped: bool = False
    metrics: tuple[tuple[Any, Any], ...] = ()
    """Updates of Beam metrics, which the Beam worker repeats."""
    error: Exception | None = None
    """Set if the Beam worker detected the failure, such as a timeout or a crash."""


class Job:
    """One item in a pool, over all its attempts."""

    def __init__(self, element: Any, timestamp: Any, window: Any, finished: "SimpleQueue[Job]") -> None:
        self.element, self.timestamp, self.window, self._finished = element, timestamp, window, finished
        self.attempts = 0
        self.outcome: Outcome | None = None
        self.stage_results = dict[str, bytes]()
        """Pickled results of finished stages, for the next attempt."""
        self.submitted_at = self.started_at = self.ended_at = 0.0
        self.first_failed_at = self.last_failed_at = 0.0
        self.abandoned = False

    def finish(self, outcome: Outcome | None) -> None:
        """Puts the job into its queue of finished attempts; without an outcome if the pool failed."""
        self.outcome, self.ended_at = outcome, time.perf_counter()
        self._finished.put(self)


def failure_of(error: BaseException) -> Failure:
    """The text of an exception, as in a dead letter, with the exception's notes."""
    letter = DeadLetter.of(b"", error, step="")
    message = "; ".join((letter.error_message, *getattr(error, "__notes__", ())))
    after = getattr(error, "retry_after", None)
    return Failure(letter.error_type, message, letter.traceback, letter.fingerprint, retry_after=after)


def signal_name(number: int) -> str:
    """The name of a signal, such as SIGKILL."""
    return next((each.name for each in signal.Signals if each == number), f"signal {number}")
