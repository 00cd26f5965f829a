"""The breaker: a broken deployment is stopped, single failures are not."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.error_handling import ErrorHandler
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.transforms import DeadLetter, DeadLetters, Dedupe, Filter, Reduce, Splitter, WorkQueue
from beam_patterns.transforms.base.breaker import Breaker, BreakerError, Failures
from beam_patterns.transforms.queues import (
    CommitOffsets,
    Message,
    QueueError,
    ReadFromQueue,
    WriteToQueue,
    open_queue,
)
from tests.running import Lists, Run


def letter(kind: str) -> DeadLetter:
    return DeadLetter.of(b"", ValueError(kind), step="Check")._replace(fingerprint=kind)


def trips(failures: Failures, kinds: list[str]) -> int | None:
    """After how many items the breaker trips; "" is an item that succeeds."""
    for number, kind in enumerate(kinds):
        try:
            if kind:
                failures.note(letter(kind), at=0)
        except BreakerError:
            return number + 1
        failures.passed(1)
    return None


@given(st.lists(st.sampled_from(["", "", "a", "b"])), st.sampled_from([0.2, 0.5, 1.0]), st.integers(1, 8))
def test_it_trips_exactly_when_too_many_of_the_last_items_failed_the_same_way(
    kinds: list[str], share: float, of_last: int
) -> None:
    windows = ((end, kinds[max(0, end - of_last) : end]) for end in range(1, len(kinds) + 1))
    expected = next((end for end, last in windows if last[-1] and last.count(last[-1]) >= share * of_last), None)
    assert trips(Failures(Breaker(share, of_last), "Check"), kinds) == expected


def is_small(number: int) -> bool:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number < 100


def is_rarely_odd(number: int) -> bool:
    if number % 10 == 1:
        raise ValueError(f"{number} is odd")
    return True


def odd_message(message: Message) -> bool:
    return is_small(int(message.value or b""))


def stopped(source: Any, pattern: Any) -> str:
    with pytest.raises(BreakerError) as error, beam.Pipeline("FnApiRunner") as p, ErrorHandler(DeadLetters()) as dead:
        _ = p | source | "Check" >> pattern.with_error_handler(dead).with_breaker(share=0.5, of_last=40)
    return str(error.value)


SENTENCE = (
    "Check: 20 of the last 40 items failed the same way, with ValueError: 39 is odd. The run was stopped; what was "
    "written stays, what was not committed is read again. Mend the cause, or raise with_breaker(share=0.5, "
    "of_last=40)."
)


@pytest.mark.parametrize(
    "pattern", [Filter(is_small), Splitter(small=is_small), Dedupe(is_small), Reduce(max, key=is_small)]
)
def test_elements_one_by_one_are_stopped_with_one_clear_sentence(pattern: Any) -> None:
    assert SENTENCE in stopped(beam.Create(range(1000), reshuffle=False), pattern)


def test_lists_are_stopped_at_the_same_item() -> None:
    source = Lists([Message(b"%d" % n) for n in range(1000)], Message)
    assert SENTENCE in stopped(source, Filter(odd_message))


def test_a_work_queue_is_stopped() -> None:
    said = stopped(beam.Create(range(200), reshuffle=False), WorkQueue(is_small, attempts=1).with_workers(1))
    assert said.startswith("Check: 20 of the last 40 items failed the same way, with ValueError: ")


def test_fewer_failures_go_to_the_dead_letters_as_ever() -> None:
    def graph(p: beam.Pipeline, dead: ErrorHandler) -> dict[str, Any]:
        pattern = Filter(is_rarely_odd).with_error_handler(dead).with_breaker(share=0.5, of_last=40)
        return {"out": p | beam.Create(range(200)) | pattern}

    run = Run(lambda: beam.Pipeline("FnApiRunner"), graph)
    assert sorted(one.error_message for one in run.dead) == sorted(f"{n} is odd" for n in range(1, 200, 10))


def test_failures_of_different_kinds_do_not_add_up() -> None:
    assert trips(Failures(Breaker(0.5, 4), "Check"), ["a", "b", "a"]) == 3
    assert trips(Failures(Breaker(0.5, 4), "Check"), ["a", "b", "c", "d", "e"]) is None


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 2}, {"of_last": 0}, {"of_last": 1.5}])
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="with_breaker"):
        Filter(is_small).with_error_handler(object()).with_breaker(**wrong)  # type: ignore[arg-type]


def test_without_a_handler_there_is_nothing_to_break() -> None:
    with pytest.raises(ValueError, match="comes behind"):
        Filter(is_small).with_breaker()


def test_a_run_that_is_stopped_keeps_its_queue_of_dead_letters_short_and_what_other_runs_wrote(tmp_path: Path) -> None:
    def uri(topic: str) -> str:
        return f"sqlite://{tmp_path}/q.db?topic={topic}&group=g"

    def run(check: Any, of_last: int) -> None:
        with beam.Pipeline("FnApiRunner") as p:
            with ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(uri("dead"))) as dead:
                read = p | ReadFromQueue(uri("in"))
                kept = read | Filter(check).with_error_handler(dead).with_breaker(0.5, of_last)
                written = kept | WriteToQueue(uri("out")).with_error_handler(dead)
            _ = (written, dead.output()) | CommitOffsets(read)

    put(uri("in"), *(Message(b"%d" % n) for n in range(0, 20, 2)))
    run(odd_message, 40)
    put(uri("in"), *(Message(b"%d" % n) for n in range(1, 2001, 2)))
    with pytest.raises(BreakerError, match="20 of the last 40 items failed the same way"):
        run(odd_message, 40)
    assert [m.value for m in lies(uri("out"))] == [b"%d" % n for n in range(0, 20, 2)]
    assert lies(uri("dead")) == []
    assert len(lies(uri("in"))) == 1000, "they are read again"
    run(bool, 40)
    assert (len(lies(uri("out"))), lies(uri("in"))) == (1010, [])


def put(uri: str, *messages: Message) -> None:
    """Writes."""
    writer = open_queue(uri).writer()
    writer.write(messages)
    assert writer.flush() == []
    writer.close()


def lies(uri: str) -> list[Message]:
    """What the group has not read; all of a queue nobody reads, nothing of one that is not there."""
    try:
        queue = open_queue(uri)
        return [message for split in queue.splits() for batch in queue.read(split) for message in batch]
    except QueueError:
        return []
