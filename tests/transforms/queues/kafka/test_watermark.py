"""How far the partitions read in one process are, each for all."""

import pytest

from beam_patterns.transforms.queues.kafka import watermark as kafka_watermark
from beam_patterns.transforms.queues.kafka.clients import Partition
from beam_patterns.transforms.queues.kafka.watermark import Marks

ONE, OTHER = Partition("orders", 0), Partition("orders", 1)


class Clock:
    """Seconds that pass when told to."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The one that marks see."""
    clock = Clock()
    monkeypatch.setattr(kafka_watermark, "time", clock)
    return clock


@pytest.fixture
def marks(clock: Clock) -> Marks:
    """Of two partitions."""
    marks = Marks()
    marks.expect([ONE, OTHER])
    return marks


def test_nobody_speaks_before_all_have_begun(marks: Marks) -> None:
    marks.begin(ONE, 0)
    assert marks.reach(ONE, 10, 50) is None
    marks.begin(ONE, 10)
    assert marks.reach(ONE, 20, 60) is None


def test_each_speaks_for_the_least_of_all(marks: Marks) -> None:
    marks.begin(ONE, 0)
    marks.begin(OTHER, 0)
    assert (marks.reach(ONE, 10, 50), marks.reach(OTHER, 10, 40)) == (None, None)
    marks.begin(ONE, 10)
    marks.begin(OTHER, 10)
    assert (marks.reach(ONE, 20, 60), marks.reach(OTHER, 20, 70)) == (40, 50)


def test_what_a_bundle_under_way_has_reached_lets_no_other_go_on(marks: Marks) -> None:
    """Else what the runner has yet to take from it would be late."""
    for partition in (ONE, OTHER):
        marks.begin(partition, 0)
        marks.reach(partition, 10, 10)
        marks.begin(partition, 10)
    assert marks.reach(OTHER, 20, 90) == 10
    assert marks.reach(ONE, 20, 95) == 10
    marks.begin(OTHER, 20)
    assert marks.reach(ONE, 20, 95) == 90


def test_a_bundle_that_is_done_again_begins_anew(marks: Marks) -> None:
    for partition in (ONE, OTHER):
        marks.begin(partition, 0)
        marks.reach(partition, 10, 90)
        marks.begin(partition, 10)
    assert marks.reach(ONE, 20, 95) == 90
    marks.begin(ONE, 0)
    assert marks.reach(ONE, 10, 5) == 5


def test_a_partition_that_does_not_begin_here_is_read_elsewhere(marks: Marks, clock: Clock) -> None:
    clock.now += 29
    marks.begin(ONE, 0)
    clock.now += 29
    assert marks.reach(ONE, 10, 50) is None
    clock.now += 1
    assert marks.reach(ONE, 10, 50) == 50


def test_a_partition_that_is_not_read_any_more_has_moved(marks: Marks, clock: Clock) -> None:
    for partition in (ONE, OTHER):
        marks.begin(partition, 0)
        marks.reach(partition, 10, 10)
        marks.begin(partition, 10)
    clock.now += 123
    assert marks.reach(ONE, 20, 90) == 10
    clock.now += 1
    assert marks.reach(ONE, 20, 90) == 90


def test_the_lag_of_a_topic_is_that_of_its_partitions_together(marks: Marks) -> None:
    assert marks.behind(ONE, 30) == 30
    assert marks.behind(OTHER, 12) == 42
    assert marks.behind(Partition("returns", 0), 5) == 5
    assert marks.behind(ONE, 0) == 12
