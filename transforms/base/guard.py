"""The guard around user code: a failed element becomes a dead letter, or fails the run with a sentence.

Every step that runs user code, or that reads or writes data that may be broken, is a `GuardedStep` with a `Guard`, and
is applied by `apply_guarded`. Dead letters, errors, the breaker, counters and times are written here, once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder, registry
from apache_beam.pvalue import PCollection, TaggedOutput

from .batches import BatchStep, SideBatch, allow_side_batches
from .breaker import Failures
from .dead_letter import DeadLetter
from .errors import ElementError, UnreadableError
from .metrics import Times, step_counters
from .pattern import Pattern, Stream

#: Tag of the output for dead letters.
DEAD = "dead-letters"
#: Names of the counters that every pattern may have.
RESERVED = ("in", "out", "dropped", "dead")


class Guard:
    """Handles the elements of a step on which user code fails. Made by the launcher, pickled to the workers.

    Args:
        pattern: the pattern that the step belongs to, with its label, handler and breaker.
        element_type: type of the elements, whose coder encodes a dead letter's payload.
        user_code: name of the user's function in error messages.
        counters: names of the step's counters.
        counted_as: namespace of the counters, by default the pattern's class.
        step: label in dead letters, by default the pattern's.
        remedy: advice in the error message of a step without a handler.
        raises: class of the error that then fails the run.
    """

    def __init__(
        self,
        pattern: Pattern,
        element_type: Any,
        user_code: str = "the function",
        *,
        counters: Sequence[str] = RESERVED,
        counted_as: str = "",
        step: str = "",
        remedy: str = "Add .with_error_handler(...) to send such elements to a dead-letter queue.",
        raises: type[Exception] = ElementError,
    ) -> None:
        self.step, self.handled, self._breaker = step or pattern.label, pattern._handler is not None, pattern._breaker
        self._element_type, self._user_code, self._remedy, self._raises = element_type, user_code, remedy, raises
        self._namespace, self._names = counted_as or type(pattern).__name__, tuple(counters)

    def setup(self) -> None:
        """Makes the objects that can't be pickled. Call this in the DoFn's `setup`."""
        self._coder = registry.get_coder(self._element_type)
        self._failures = Failures(self._breaker, self.step) if self._breaker else None

    def start_bundle(self) -> None:
        """Makes the counters. Call this in the DoFn's `start_bundle`, where Beam knows the step (see metrics.py)."""
        self._counters = dict(zip(self._names, step_counters(self._namespace, self._names), strict=True))
        self.times = Times()

    def letter(
        self, element: Any, error: Exception, at: int = 0, complaint: str = "", coder: Coder | None = None
    ) -> DeadLetter:
        """Returns the dead letter of a failed element. Raises ElementError if the pattern has no handler.

        Args:
            element: the element; `coder` encodes it if it is not of the step's element type.
            error: the exception that user code raised; `complaint` replaces it in the text of the ElementError.
            at: number of items that the step has handled since `passed` was last called, for the breaker.
        """
        return self.noted(self.record(element, error, complaint, coder), at)

    def record(self, element: Any, error: Exception, complaint: str = "", coder: Coder | None = None) -> DeadLetter:
        """Returns the dead letter before the breaker counts it, for steps that know more about the failure."""
        if not self.handled:
            raise self._refusal(element, error, complaint) from error
        return DeadLetter.of(element, error, step=self.step, coder=coder or self._coder)

    def noted(self, letter: DeadLetter, at: int = 0) -> DeadLetter:
        """Counts a letter in the breaker and returns it. Raises BreakerError if there are too many."""
        if self._failures:
            self._failures.note(letter, at)
        return letter

    def passed(self, items: int) -> None:
        """Tells the breaker that the step is done with this number of items, failed ones included."""
        if self._failures:
            self._failures.passed(items)

    def count(self, numbers: Mapping[str, int]) -> None:
        """Adds to the counters with these names; names that the step does not have are ignored."""
        for name, number in numbers.items():
            if name in self._counters:
                self._counters[name].inc(number)

    def measure(
        self, total: int, out: int, dead: int, began: float | None = None, branches: Mapping[str, int] | None = None
    ) -> None:
        """Counts a batch or a bundle of items that the step is done with, and records the time since `began`."""
        self.count({**(branches or {}), "in": total, "out": out, "dropped": total - out - dead, "dead": dead})
        self.passed(total)
        if began is not None:
            self.times.note(perf_counter() - began, total)

    def results(
        self,
        calls: Iterator[Any],
        elements: Sequence[Any],
        complaint: Callable[[Any, Exception], str] = lambda element, error: "",
    ) -> tuple[list[Any], list[DeadLetter], set[int]]:
        """Runs an iterator of calls, one per element: returns results, dead letters, and indices of failed elements.

        The iterator continues after an element that failed, so the guard costs nothing and repeats no call.
        """
        results, letters, failed = list[Any](), list[DeadLetter](), set[int]()
        while len(results) + len(failed) < len(elements):
            try:
                results.extend(calls)
                if len(results) + len(failed) < len(elements):
                    raise StopIteration("raised by user code")  # Only counting tells this from the iterator's end.
            except Exception as error:
                at = len(results) + len(failed)
                letters.append(self.letter(elements[at], error, at, complaint(elements[at], error)))
                failed.add(at)
        return results, letters, failed

    def _refusal(self, element: Any, error: Exception, complaint: str) -> Exception:
        if isinstance(error, UnreadableError):  # Its text is for users already.
            return error
        raised = complaint or f"{self._user_code} raised {type(error).__name__}: {error}, on {shortened(element)}"
        return self._raises(f"{self.step}: {raised}. {self._remedy}")


class GuardedStep(BatchStep):
    """A DoFn with a guard around user code."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def setup(self) -> None:
        self._guard.setup()

    def start_bundle(self) -> None:
        self._guard.start_bundle()


class OneByOne(GuardedStep):
    """Calls a function on each element. Adds to Beam's counters once per bundle."""

    def __init__(self, guard: Guard, function: Callable[[Any], Any]) -> None:
        super().__init__(guard)
        self._function = function

    def start_bundle(self) -> None:
        super().start_bundle()
        self._next_function = self._guard.times.sampling(self._function)
        self._total = self._moved = self._letters = 0

    def process(self, element: Any) -> Sequence[Any]:
        self._total += 1
        try:
            result = self._next_function()(element)
        except Exception as error:
            letter = self._guard.letter(element, error, self._total - 1)
            self._letters += 1
            return (TaggedOutput(DEAD, letter),)
        if self._drops(result):
            return ()
        self._moved += 1
        return (result,)

    def _drops(self, result: Any) -> bool:
        return False

    def finish_bundle(self) -> Any:
        self._guard.measure(self._total, self._moved, self._letters)


def apply_guarded(
    pattern: Pattern, elements: Any, fn: beam.DoFn, types: Mapping[str, Any], *, verb: str, label: str
) -> list[Stream[Any]]:
    """Applies a guarded DoFn: returns its outputs, and sends the dead letters to the pattern's handler.

    Args:
        pattern, elements, fn: the pattern, its input and the DoFn.
        types: element types by the name of the output, the main output first.
        verb, label: labels of the step and of the ParDo inside, which otherwise would be the name of the DoFn's class.
    """
    *outputs, letters = guarded_outputs(pattern, elements, fn, types, verb=verb, label=label)
    report_dead(pattern, letters)
    return outputs


def guarded_outputs(
    pattern: Pattern, elements: Any, fn: beam.DoFn, types: Mapping[str, Any], *, verb: str, label: str
) -> list[Stream[Any]]:
    """The outputs of a guarded DoFn, the dead letters last."""
    check_breaker(pattern)
    first, *others = types  # The main output costs a little less than a tagged one.
    step = beam.ParDo(fn)
    step.label = label
    outputs = elements | verb >> step.with_outputs(DEAD, *others, main=first)
    allow_side_batches(step)
    for name, element_type in {**types, DEAD: DeadLetter}.items():
        outputs[name].element_type = element_type
    return [outputs[name] for name in (*types, DEAD)]


def check_breaker(pattern: Pattern) -> None:
    """Raises ValueError if a pattern has a breaker but no handler."""
    if pattern._breaker and pattern._handler is None:
        raise ValueError(
            f"{pattern.label}: .with_breaker(...) needs .with_error_handler(...): "
            "without a handler the first failure ends the run"
        )


def report_dead(pattern: Pattern, letters: PCollection) -> None:
    """Sends dead letters to the pattern's handler, if it has one."""
    if pattern._handler is not None:
        pattern._handler.add_error_pcollection(letters)


def dead_outputs(letters: list[DeadLetter]) -> Iterator[TaggedOutput]:
    """The dead letters of a batch as an output of a DoFn that yields batches."""
    if letters:
        yield TaggedOutput(DEAD, SideBatch(letters))


def shortened(element: Any) -> str:
    """An element's `repr` for an error message, at most 500 characters of it."""
    text = repr(element)
    return text if len(text) <= 500 else f"{text[:500]}... ({len(text):,} characters)"
