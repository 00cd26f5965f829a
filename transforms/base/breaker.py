"""The breaker: stops a run in which most items fail the same way, before the dead-letter queue fills up."""

from collections import Counter, deque
from typing import NamedTuple

from .dead_letter import DeadLetter
from .errors import BreakerError


class Breaker(NamedTuple):
    """The limit at which a run stops: this share of the last `of_last` items failed with one fingerprint."""

    share: float
    of_last: int


class Failures:
    """The failures among the last items of a step on one worker. Items that succeed cost nothing.

    >>> failures = Failures(Breaker(0.5, of_last=4), step="Parse")
    >>> letter = DeadLetter.of(b"x", ValueError("not a number"), step="Parse")
    >>> failures.note(letter, at=0)
    >>> failures.passed(3)
    >>> failures.note(letter, at=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    beam_patterns.transforms.base.errors.BreakerError: Parse: 2 of the last 4 items failed the same way, ...
    """

    def __init__(self, breaker: Breaker, step: str) -> None:
        self._breaker, self._step = breaker, step
        self._items = 0
        self._recent = deque[tuple[int, str]]()
        self._kinds = Counter[str]()

    def passed(self, items: int) -> None:
        """Adds to the number of items that the step is done with, failed ones included."""
        self._items += items

    def note(self, letter: DeadLetter, at: int) -> None:
        """Records the failure of item number `at`, counted from 0 at the last call of `passed`.

        Raises BreakerError if there are too many failures now.
        """
        here, (share, of_last) = self._items + at, self._breaker
        self._recent.append((here, letter.fingerprint))
        self._kinds[letter.fingerprint] += 1
        while self._recent[0][0] <= here - of_last:
            self._kinds[self._recent.popleft()[1]] -= 1
        failures, message = self._kinds[letter.fingerprint], letter.error_message.partition("\n")[0]
        if failures >= share * of_last:
            raise BreakerError(
                f"{self._step}: {failures:,} of the last {of_last:,} items failed the same way, with "
                f"{letter.error_type}: {message}. The run was stopped; what was written stays, what was not committed "
                f"is read again. Fix the cause, or raise with_breaker(share={share}, of_last={of_last})."
            )
