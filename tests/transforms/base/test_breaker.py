"""The breaker: most items that fail the same way stop the run, single failures do not; for every pattern."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.transforms.error_handling import ErrorHandler
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import (
    BreakerError,
    DeadLetter,
    DeadLetters,
    Dedupe,
    Filter,
    Histogram,
    Join,
    Map,
    ReadRows,
    Reduce,
    Sharder,
    Splitter,
    Sum,
    WorkQueue,
)
from beam_patterns.transforms.base.breaker import Breaker, Failures
from beam_patterns.transforms.queues import (
    CommitOffsets,
    Message,
    QueueError,
    ReadFromQueue,
    WriteToQueue,
    open_queue,
)
from tests.running import Lists, Tables
from tests.streams import item_of, part_of


def letter(kind: str) -> DeadLetter:
    return DeadLetter.of(b"", ValueError(kind), step="Check")._replace(fingerprint=kind)


def stops_after(failures: Failures, kinds: list[str]) -> int | None:
    """The number of items after which the breaker stops; "" is an item that succeeds."""
    for number, kind in enumerate(kinds):
        try:
            if kind:
                failures.note(letter(kind), at=0)
        except BreakerError:
            return number + 1
        failures.passed(1)
    return None


@given(st.lists(st.sampled_from(["", "", "a", "b"])), st.sampled_from([0.2, 0.5, 1.0]), st.integers(1, 8))
def test_it_stops_exactly_when_too_many_of_the_last_items_failed_the_same_way(
    kinds: list[str], share: float, of_last: int
) -> None:
    windows = ((end, kinds[max(0, end - of_last) : end]) for end in range(1, len(kinds) + 1))
    expected = next((end for end, last in windows if last[-1] and last.count(last[-1]) >= share * of_last), None)
    assert stops_after(Failures(Breaker(share, of_last), "Check"), kinds) == expected


def is_small(number: int) -> bool:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number < 100


class Number(NamedTuple):
    n: int


def odd_message(message: Message) -> bool:
    return is_small(int(message.value or b""))


def numbers(form: str) -> Any:
    """A thousand numbers, of which every second one is odd."""
    if form == "tables":
        return Tables([Number(n) for n in range(1000)], Number, pa.schema([pa.field("n", pa.int64(), False)]), size=7)
    return list(range(1000)) if form == "elements" else Lists(range(1000), int)


def checked(number: Any) -> Any:
    """User code that fails for odd numbers, in every form of the elements."""
    return is_small(getattr(number, "n", number))


#: Each pattern that accepts an error handler, with user code that fails.
PATTERNS: dict[str, Any] = {
    "Filter": Filter(checked),
    "Splitter": Splitter(small=checked),
    "Splitter with every match": Splitter(small=checked, large=bool).with_every_match(),
    "Splitter by key": Splitter.by(checked, "small"),
    "Sharder": Sharder(2, key=checked),
    "Map": Map(checked),
    "Dedupe": Dedupe(checked),
    "Join": Join(key=lambda number: (checked(number), number), part=lambda number: "only", expected=1),
    "Sum": Sum(value=1, key=checked),
    "Reduce": Reduce(max, key=checked),
    "Histogram": Histogram(value=checked, key=lambda number: "all", bins=(0, 10)),
}
patterns = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)


def stopped(pattern: Any, items: Any = None) -> str:
    """The error of a run that a breaker stops. The breaker comes before the handler, which makes no difference."""
    broken = pattern.with_breaker(share=0.5, of_last=40)
    with pytest.raises(BreakerError) as error:
        run_pattern(lambda elements, dead: elements | "Check" >> broken.with_error_handler(dead), items)
    return str(error.value).partition(" [while running")[0]


SENTENCE = (
    "Check: 20 of the last 40 items failed the same way, with {error}. The run was stopped; what was written stays, "
    "what was not committed is read again. Fix the cause, or raise with_breaker(share=0.5, of_last=40)."
)


@patterns
@pytest.mark.parametrize("form", ["elements", "lists", "tables"])
def test_every_pattern_stops_at_the_same_item_in_every_form(pattern: Any, form: str) -> None:
    assert stopped(pattern, numbers(form)) == SENTENCE.format(error="ValueError: 39 is odd")


@pytest.mark.integration
def test_items_that_lack_parts_at_their_deadline_are_failures() -> None:
    parts = [(f"item {n}", part) for n in range(1000) for part in ("plate", "color")[: 1 + n % 2]]
    join = Join(key=item_of, part=part_of, expected=["plate", "color"])
    error = (
        r"Check: 20 of the last 40 items failed the same way, with .*\.MissingPartsError: the item .*[02468]' lacks col"
    )
    assert re.match(error, stopped(join, parts))


def test_invalid_rows_of_a_file_are_failures(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["n", *(str(n) if n % 2 == 0 else "odd" for n in range(1000))]))
    sentence = stopped(ReadRows(f"{tmp_path}/a.csv", Number))
    assert sentence.startswith("Check: 20 of the last 40 items failed the same way, with ValueError: n: ")


def test_a_work_queue_is_stopped() -> None:
    sentence = stopped(WorkQueue(is_small, attempts=1).with_workers(1), list(range(200)))
    assert sentence.startswith("Check: 20 of the last 40 items failed the same way, with ValueError: ")


@patterns
def test_fewer_failures_are_dead_letters_as_without_a_breaker(pattern: Any) -> None:
    run = run_pattern(pattern.with_breaker(share=0.5, of_last=40), [n for n in range(200) if n % 2 == 0 or n % 10 == 1])
    assert sorted(letter.error_message for letter in run.dead) == sorted(f"{n} is odd" for n in range(1, 200, 10))


@patterns
def test_a_breaker_without_a_handler_raises_value_error_when_it_is_applied(pattern: Any) -> None:
    p = beam.Pipeline("FnApiRunner")
    sentence = r"Check: .with_breaker\(...\) needs .with_error_handler\(...\): without a handler the first failure ends"
    with pytest.raises(ValueError, match=sentence):
        _ = p | beam.Create([1]) | "Check" >> pattern.with_breaker()


@pytest.mark.parametrize("pattern", [ReadRows("a.csv", Number), Join()], ids=["ReadRows", "Join without a key"])
def test_a_breaker_without_a_handler_raises_value_error_where_no_function_is_called(pattern: Any) -> None:
    p = beam.Pipeline("FnApiRunner")
    elements = p if isinstance(pattern, ReadRows) else (p | beam.Create([1]),)
    with pytest.raises(ValueError, match=r"Check: .with_breaker\(...\) needs .with_error_handler"):
        _ = elements | "Check" >> pattern.with_breaker()


class Outer(beam.PTransform):
    """A user's own composite."""

    def __init__(self, pattern: Any) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, elements: Any) -> Any:
        return elements | "Check" >> self._pattern


@patterns
def test_the_step_of_a_dead_letter_is_the_users_label_also_inside_a_composite(pattern: Any) -> None:
    def flow(elements: Any, dead: Any) -> Any:
        return elements | "Outer" >> Outer(pattern.with_error_handler(dead))

    assert [letter.step for letter in run_pattern(flow, [2, 3]).dead] == ["Check"]


def test_the_step_of_a_missing_part_and_of_an_invalid_row_is_the_users_label_too(tmp_path: Path) -> None:
    join = Join(key=item_of, part=part_of, expected=["plate", "color"])
    (tmp_path / "a.csv").write_text("n\nodd\n")
    for pattern, items in ((join, [("a", "plate")]), (ReadRows(f"{tmp_path}/a.csv", Number), None)):

        def flow(elements: Any, dead: Any, pattern: Any = pattern) -> Any:
            return elements | "Outer" >> Outer(pattern.with_error_handler(dead))

        assert [letter.step for letter in run_pattern(flow, items).dead] == ["Check"]


def test_failures_of_different_kinds_do_not_add_up() -> None:
    assert stops_after(Failures(Breaker(0.5, 4), "Check"), ["a", "b", "a"]) == 3
    assert stops_after(Failures(Breaker(0.5, 4), "Check"), ["a", "b", "c", "d", "e"]) is None


@pytest.mark.parametrize("wrong", [{"share": 0}, {"share": 2}, {"of_last": 0}, {"of_last": 1.5}])
def test_values_out_of_range_raise_value_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"with_breaker\((share|of_last)=.*\): give a "):
        Filter(is_small).with_breaker(**wrong)


@pytest.mark.integration
def test_a_stopped_run_writes_few_dead_letters_and_keeps_the_results_of_other_runs(tmp_path: Path) -> None:
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
    assert [m.value for m in unread(uri("out"))] == [b"%d" % n for n in range(0, 20, 2)]
    assert unread(uri("dead")) == []
    assert len(unread(uri("in"))) == 1000, "they are read again"
    run(bool, 40)
    assert (len(unread(uri("out"))), unread(uri("in"))) == (1010, [])


def put(uri: str, *messages: Message) -> None:
    """Writes messages to a queue."""
    writer = open_queue(uri).writer()
    writer.write(messages)
    assert writer.flush() == []
    writer.close()


def unread(uri: str) -> list[Message]:
    """The messages that the group has not read; none if the queue does not exist."""
    try:
        queue = open_queue(uri)
        return [message for split in queue.splits() for batch in queue.read(split) for message in batch]
    except QueueError:
        return []
