"""What travels between a pool and its workers."""

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import Any, NamedTuple

from ..base.dead_letter import DeadLetter

__all__ = [
    "DONE",
    "ENTERED",
    "LOG",
    "MADE",
    "Failure",
    "Item",
    "Job",
    "Outcome",
    "PermanentError",
    "Staged",
    "Task",
    "failure_of",
]


#: What a worker says begins with one of these bytes; the rest is pickled.
DONE, ENTERED, MADE, LOG = b"d", b"e", b"m", b"l"


class PermanentError(Exception):
    """Raised by a worker for what no retry will mend: the item becomes a dead letter at once."""


class Staged(ABC):
    """Work in stages: what earlier stages made is kept, so that a retry needs not make it again."""

    last: Callable[..., Any]
    """The function that makes the result."""

    @abstractmethod
    def run(
        self, item: Any, made: Mapping[str, Any], enter: Callable[[str], None], keep: Callable[[str, Any], None]
    ) -> Any:
        """The work's result. Calls `enter` before a stage and `keep` with what it made."""


class Task(NamedTuple):
    """What a pool does with every item: made by the launcher, pickled once, the same for all workers."""

    work: Callable[[Any], Any]
    done: Callable[[Any], Any] | None
    worth_retrying: Callable[[BaseException], bool]
    log_level: int

    @property
    def several(self) -> bool:
        """Whether an item has as many results as the work yields."""
        work = self.work.last if isinstance(self.work, Staged) else self.work
        return inspect.isgeneratorfunction(work) or inspect.isgeneratorfunction(type(work).__call__)

    def results(self, returned: Any) -> list[Any]:
        """What a call returned, as the item's results."""
        return list(returned) if self.several or isinstance(returned, Iterator) else [returned]


class Item(NamedTuple):
    """One attempt at an item."""

    element: Any
    made: Mapping[str, bytes]
    """What earlier attempts made, by stage, pickled."""


class Failure(NamedTuple):
    """Why an attempt failed, in words: exceptions themselves may not be able to leave their process."""

    error_type: str
    message: str
    traceback: str
    fingerprint: str
    worth_retrying: bool = True
    retry_after: float | None = None
    """Seconds that the other side asks to wait."""


class Outcome(NamedTuple):
    """How an attempt ended."""

    results: list[Any]
    failure: Failure | None
    skipped: bool = False
    metrics: tuple[tuple[Any, Any], ...] = ()
    """Updates of Beam metrics, to be repeated by the Beam worker."""
    error: Exception | None = None
    """Set where the Beam worker itself noticed the failure: a timeout, a crash."""


class Job:
    """One item on its way through a pool, over all its attempts; `place` is its timestamp and window."""

    def __init__(self, element: Any, place: tuple[Any, Any], done: "SimpleQueue[Job]") -> None:
        self.element, self.place, self._done = element, place, done
        self.attempts, self.first_failed_at = 0, 0.0
        self.made: dict[str, bytes] = {}
        self.outcome: Outcome | None = None
        self.submitted_at = self.started_at = self.ended_at = 0.0
        self.abandoned = False

    def finish(self, outcome: Outcome | None) -> None:
        """Hands the job back to whoever waits for it; without an outcome if the pool broke down."""
        self.outcome, self.ended_at = outcome, time.perf_counter()
        self._done.put(self)


def failure_of(error: BaseException) -> Failure:
    """An exception in words, as a dead letter tells it."""
    letter = DeadLetter.of(b"", error, step="")
    message = "; ".join((letter.error_message, *getattr(error, "__notes__", ())))
    after = getattr(error, "retry_after", None)
    return Failure(letter.error_type, message, letter.traceback, letter.fingerprint, retry_after=after)
