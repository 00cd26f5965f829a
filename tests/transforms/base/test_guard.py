"""The guard: what a step does with an element on which user code fails, without a pipeline where possible."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import List

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import BreakerError, ElementError
from beam_patterns.transforms.base.errors import UnreadableError
from beam_patterns.transforms.base.guard import (
    DEAD,
    Guard,
    GuardedStep,
    OneByOne,
    apply_guarded,
    dead_outputs,
    guarded_outputs,
    shortened,
)
from beam_patterns.transforms.extend import GuardedPattern, batch_type_of


class Half(GuardedPattern[Any, Any]):
    """A pattern of a user's own: halves even numbers."""

    def __init__(self, **guard: Any) -> None:
        super().__init__()
        self._guard = guard

    def expand(self, numbers: Any) -> Any:
        guard = Guard(self, int, "half", **self._guard)
        return apply_guarded(self, numbers, OneByOne(guard, half), {"halves": int}, verb="Halve", label="Half")[0]


def half(number: int) -> int:
    """A function that fails for odd numbers."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


class Handler:
    """An error handler that keeps what it gets."""

    def __init__(self) -> None:
        self.errors: list[Any] = []

    def add_error_pcollection(self, errors: Any) -> None:
        """Beam's protocol."""
        self.errors.append(errors)


def guard_of(pattern: Any, **options: Any) -> Guard:
    """A guard in a worker, where a bundle has begun."""
    guard = Guard(pattern, int, "half", **options)
    guard.setup()
    guard.start_bundle()
    return guard


def handled() -> Any:
    """A pattern with a handler."""
    return Half().with_error_handler(Handler())  # type: ignore[arg-type]


def failure() -> ValueError:
    """An error as it was raised."""
    try:
        half(1)
    except ValueError as error:
        return error
    raise AssertionError


def test_with_a_handler_a_failed_element_is_a_letter_with_the_label_of_the_pattern() -> None:
    letter = guard_of(handled()).letter(1, failure())
    assert (letter.step, letter.error_type, letter.error_message) == ("Half", "ValueError", "1 is odd")
    assert letter.payload == b"\x01", "as the coder of int encodes it"
    assert "raise ValueError" in letter.traceback


def test_the_letter_may_have_another_step_and_another_coder() -> None:
    letter = guard_of(handled(), step="Read").letter(b"a", failure(), coder=StrUtf8Coder())
    assert (letter.step, letter.payload) == ("Read", b"a")


def test_without_a_handler_the_error_names_step_function_element_and_remedy() -> None:
    with pytest.raises(ElementError) as raised:
        guard_of(Half()).letter(1, failure())
    assert str(raised.value) == (
        "Half: half raised ValueError: 1 is odd, on 1. "
        "Add .with_error_handler(...) to send such elements to a dead-letter queue."
    )
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_step_may_have_its_own_complaint_remedy_and_class_of_error() -> None:
    guard = guard_of(Half(), remedy="Write it again.", raises=UnreadableError)
    with pytest.raises(UnreadableError, match=r"^Half: row 3 is invalid\. Write it again\.$"):
        guard.letter(1, failure(), complaint="row 3 is invalid")


def test_an_error_that_is_a_sentence_for_users_is_raised_as_it_is() -> None:
    with pytest.raises(UnreadableError, match=r"^the file a can't be read$"):
        guard_of(Half()).letter(1, UnreadableError("the file a can't be read"))


def test_a_letter_that_is_completed_later_is_counted_by_the_breaker_once() -> None:
    guard = guard_of(handled().with_breaker(share=1, of_last=2))
    first, second = guard.record(1, failure()), guard.record(3, failure())
    assert guard.noted(first._replace(attempts=3)).attempts == 3
    guard.passed(1)
    with pytest.raises(BreakerError, match="Half: 2 of the last 2 items failed the same way"):
        guard.noted(second)


def stops(number: int) -> int:
    """A function that fails as an exhausted iterator does."""
    if number % 2:
        raise StopIteration
    return number


@pytest.mark.parametrize(("function", "error_type"), [(half, "ValueError"), (stops, "StopIteration")])
def test_results_continue_after_a_failed_element_and_call_the_function_once_per_element(
    function: Any, error_type: str
) -> None:
    called = list[int]()

    def recorded(number: int) -> int:
        called.append(number)
        return function(number)  # type: ignore[no-any-return]

    results, letters, failed = guard_of(handled()).results(map(recorded, range(5)), range(5))
    assert (results, failed) == ([function(0), function(2), function(4)], {1, 3})
    assert [letter.error_type for letter in letters] == [error_type] * 2
    assert called == [0, 1, 2, 3, 4]


def test_results_tell_the_breaker_the_index_of_each_failed_element() -> None:
    guard = guard_of(handled().with_breaker(share=0.5, of_last=4))
    with pytest.raises(BreakerError, match="2 of the last 4 items failed the same way, with ValueError: 9 is odd"):
        guard.results(map(half, (0, 1, 2, 4, 6, 7, 9)), (0, 1, 2, 4, 6, 7, 9))


def test_results_raise_the_complaint_of_the_step() -> None:
    with pytest.raises(ElementError, match=r"^Half: 1 can't be halved: 1 is odd\. Add "):
        guard_of(Half()).results(map(half, [1]), [1], lambda element, error: f"{element} can't be halved: {error}")


def test_the_counters_are_those_of_the_pattern_and_the_balance_closes() -> None:
    run = run_pattern(Half(), range(10))
    assert run["out"] == [0, 1, 2, 3, 4]
    assert {name: run.counters["Half", name] for name in ("in", "out", "dropped", "dead")} == {
        "in": 10,
        "out": 5,
        "dropped": 0,
        "dead": 5,
    }
    assert run.balance.closes


def test_a_step_may_count_in_another_namespace_and_only_some_numbers() -> None:
    run = run_pattern(Half(counted_as="Halving", counters=("dead",)), range(10))
    assert {key: number for key, number in run.counters.items() if not key[0].startswith("beam_patterns")} == {
        ("Halving", "dead"): 5
    }


def test_labels_are_those_of_the_step_and_not_the_names_of_classes() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | "Numbers" >> beam.Create([2]) | "Mine" >> Half()
    labels = [step.unique_name for step in p.to_runner_api().components.transforms.values()]
    assert sorted(label for label in labels if label.startswith("Mine")) == ["Mine", "Mine/Halve", "Mine/Halve/Half"]


def test_only_a_handler_gets_the_letters() -> None:
    p, handler = beam.Pipeline("FnApiRunner"), Handler()
    numbers = p | beam.Create([2])
    assert (numbers | "One" >> Half().with_error_handler(handler)).element_type is int  # type: ignore[arg-type]
    assert [errors.element_type.__name__ for errors in handler.errors] == ["DeadLetter"]
    *_, letters = guarded_outputs(Half(), numbers, OneByOne(Guard(Half(), int), half), {"h": int}, verb="V", label="L")
    assert letters.element_type.__name__ == "DeadLetter"


class Pairs(GuardedStep):
    """A step with declared types: lists of int become lists of str."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard)
        self._input_batches, self._output_type, self._output_batches = list[int], str, list[str]

    def process_batch(self, batch: list[int]) -> Iterator[Any]:
        yield [str(number) for number in batch]
        yield from dead_outputs([self._guard.letter(0, failure())])


def test_a_step_declares_the_types_of_its_batches_and_dead_letters_pass_beside_them() -> None:
    def flow(numbers: Any, dead: Any) -> Any:
        pattern = Half().with_error_handler(dead)
        (output,) = apply_guarded(pattern, numbers, Pairs(Guard(pattern, int)), {"out": str}, verb="V", label="L")
        assert batch_type_of(output) == List[str]
        return output

    run = run_pattern(flow, [1, 2])
    assert sorted(run["out"]) == ["1", "2"]
    assert {letter.error_message for letter in run.dead} == {"1 is odd"}


def test_no_output_for_letters_if_there_are_none() -> None:
    assert list(dead_outputs([])) == []
    (output,) = dead_outputs([guard_of(handled()).letter(1, failure())])
    assert (type(output), output.tag, len(output.value)) == (TaggedOutput, DEAD, 1)


def test_a_long_element_is_shortened_in_error_messages() -> None:
    assert shortened("a" * 400) == repr("a" * 400)
    assert shortened("a" * 1000) == f"'{'a' * 499}... (1,002 characters)"
