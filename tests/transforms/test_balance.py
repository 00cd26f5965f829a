"""The balance: what went in is somewhere."""

from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.metrics.execution import MetricKey, MetricResult
from apache_beam.metrics.metricbase import MetricName
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import Copier, DeadLetters, Filter, Merger, Splitter
from beam_patterns.transforms.balance import Balance, Step, interim_of
from beam_patterns.transforms.queues import Message, ReadFromQueue, WriteToQueue, open_queue


def test_a_step_is_closed_when_nothing_is_missing() -> None:
    assert Step("s", "P", came=10, out=4, dropped=3, dead=2, duplicates=1).missing == 0
    assert Step("s", "P", came=10, out=4).missing == 6
    assert Step("s", "P", came=1, out=2).missing == -1
    assert Step("source", "P", out=7).missing == 0


def test_complaints_name_the_step_and_the_numbers() -> None:
    balance = Balance((Step("Mail", "Deliver", came=5, out=2, dead=1), Step("Copy", "Copier", came=1, out=3)))
    assert not balance.closes
    assert list(balance.complaints()) == [
        "Mail: 2 of 5 that went in are missing (2 out, 0 dropped, 1 dead, 0 duplicates)",
        "Copy: 2 more came out than the 1 that went in (3 out, 0 dropped, 0 dead, 0 duplicates)",
    ]


def test_a_step_of_which_a_runner_gave_interim_counters_only_is_neither_closed_nor_open() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1, 2, 3]) | "Big" >> Filter(_odd) | "Odd" >> Filter(_odd)
    counters = {(f"{step}/Keep/Route", "Filter", "in"): 3 for step in ("Big", "Odd")}
    balance = Balance.of_counters(counters, p, interim={("Big/Keep/Route", "Filter", "in")})
    assert [(step.label, step.interim, step.missing) for step in balance.steps] == [("Big", True, 0), ("Odd", False, 3)]
    assert list(balance.complaints()) == [
        "Odd: 3 of 3 that went in are missing (0 out, 0 dropped, 0 dead, 0 duplicates)"
    ]


class _Told:
    """A runner's result: some counters final, some not."""

    def __init__(self, *counters: tuple[str, int | None, int]) -> None:
        self._found = [
            MetricResult(MetricKey("Big", MetricName("Filter", name)), committed, attempted)
            for name, committed, attempted in counters
        ]

    def metrics(self) -> "_Told":
        return self

    def query(self) -> dict[str, list[MetricResult]]:
        return {"counters": self._found}


def test_a_runner_that_never_tells_final_counters_is_believed() -> None:
    assert interim_of(_Told(("in", 3, 3), ("out", None, 1))) == {("Big", "Filter", "out")}
    assert interim_of(_Told(("in", None, 3), ("out", None, 3))) == set()


@pytest.mark.parametrize("source", ["batches", "elements"])
def test_every_step_of_a_flow_has_its_own_line(pipeline: Callable[..., beam.Pipeline], source: str) -> None:
    name = f"memory://balance-{source}-{id(pipeline)}"
    writer = open_queue(name).writer()
    writer.write([Message(b"%d" % number) for number in range(10)])
    writer.flush()
    p = pipeline()
    with ErrorHandler("Dead" >> (DeadLetters() | "Park" >> WriteToQueue(f"{name}-dead"))) as dead:
        read = p | "Read" >> ReadFromQueue(f"{name}?group=g")
        items = read if source == "batches" else read | "One by one" >> beam.Map(_same).with_output_types(Message)
        big = items | "Big" >> Filter(_number_over_3).with_error_handler(dead)
        inverse = big | "Inverse" >> Filter(_inverse).with_error_handler(dead)
        copies = inverse | "Copy" >> Copier("left", "right")
        split = copies.left | "Split" >> Splitter(even=_even)
        (split.even, copies.right) | "Gather" >> Merger() | "Write" >> WriteToQueue(f"{name}-out")
        p | "Nothing" >> ReadFromQueue(f"{name}-nothing?group=g") | "Idle" >> Filter(_even)
    result = p.run()
    result.wait_until_finish()
    balance = Balance.of(result, p)
    assert balance.closes
    assert [step._replace(branches=tuple(sorted(step.branches))) for step in balance.steps] == [
        Step("Read", "ReadFromQueue", out=10),
        Step("Big", "Filter", came=10, out=6, dropped=4),
        Step("Inverse", "Filter", came=6, out=5, dead=1),
        Step("Copy", "Copier", came=5, out=5, branches=(("left", 5), ("right", 5))),
        Step("Split", "Splitter", came=5, out=5, branches=(("even", 3), ("otherwise", 2))),
        Step("Gather", "Merger", came=8, out=8),
        Step("Write", "WriteToQueue", came=8, out=8),
        *(step for step in balance.steps if step.label in ("Nothing", "Idle")),
        Step("Dead/Park", "WriteToQueue", came=1, out=1),
    ]
    assert {step.label: (step.came or 0, step.out) for step in balance.steps if step.label in ("Nothing", "Idle")} == {
        "Nothing": (0, 0),
        "Idle": (0, 0),
    }


def test_a_step_inside_a_composite_is_named_by_its_path() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1, 2, 3]) | "Outer" >> _Outer()
    assert Balance.of(p.run(), p).steps == (Step("Outer/Inner", "Filter", came=3, out=1, dropped=2),)


def test_counters_of_other_people_are_not_part_of_it() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1, 2, 3]) | "Own" >> beam.Map(_counting) | "Keep" >> Filter(_odd)
    assert Balance.of(p.run(), p).steps == (Step("Keep", "Filter", came=3, out=2, dropped=1),)


class _Outer(beam.PTransform):
    def expand(self, numbers: beam.PCollection) -> beam.PCollection:
        return numbers | "Inner" >> Filter(_is_even_number)


def _counting(number: int) -> int:
    beam.metrics.Metrics.counter("mine", "in").inc(100)
    return number


def _is_even_number(number: int) -> bool:
    return number % 2 == 0


def _odd(number: int) -> bool:
    return number % 2 == 1


def _same(message: Message) -> Message:
    return message


def _number_over_3(message: Message) -> bool:
    return int(message.value) > 3


def _inverse(message: Message) -> bool:
    return bool(1 / (int(message.value) - 7))


def _even(message: Message) -> bool:
    return int(message.value) % 2 == 0
