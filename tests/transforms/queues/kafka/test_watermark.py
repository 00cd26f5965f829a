"""MinWatermark: the minimum of the watermarks of one process's partitions."""

import pytest

from beam_patterns.transforms.queues.kafka import watermark as kafka_watermark
from beam_patterns.transforms.queues.kafka.clients import Partition
from beam_patterns.transforms.queues.kafka.watermark import MinWatermark

ONE, OTHER = Partition("orders", 0), Partition("orders", 1)


class Clock:
    """A clock that tests advance."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the watermark module."""
    clock = Clock()
    monkeypatch.setattr(kafka_watermark, "time", clock)
    return clock


@pytest.fixture
def watermark(clock: Clock) -> MinWatermark:
    """The watermarks of two partitions."""
    watermark = MinWatermark()
    watermark.expect([ONE, OTHER])
    return watermark


def test_there_is_no_minimum_before_all_partitions_have_begun(watermark: MinWatermark) -> None:
    watermark.begin(ONE, 0)
    assert watermark.reach(ONE, 10, 50) is None
    watermark.begin(ONE, 10)
    assert watermark.reach(ONE, 20, 60) is None


def test_each_partition_returns_the_minimum_of_all(watermark: MinWatermark) -> None:
    watermark.begin(ONE, 0)
    watermark.begin(OTHER, 0)
    assert (watermark.reach(ONE, 10, 50), watermark.reach(OTHER, 10, 40)) == (None, None)
    watermark.begin(ONE, 10)
    watermark.begin(OTHER, 10)
    assert (watermark.reach(ONE, 20, 60), watermark.reach(OTHER, 20, 70)) == (40, 50)


def test_an_unfinished_bundle_does_not_advance_the_others(watermark: MinWatermark) -> None:
    """Otherwise its elements, which the runner has not received yet, would be late."""
    for partition in (ONE, OTHER):
        watermark.begin(partition, 0)
        watermark.reach(partition, 10, 10)
        watermark.begin(partition, 10)
    assert watermark.reach(OTHER, 20, 90) == 10
    assert watermark.reach(ONE, 20, 95) == 10
    watermark.begin(OTHER, 20)
    assert watermark.reach(ONE, 20, 95) == 90


def test_a_repeated_bundle_starts_from_its_own_watermark(watermark: MinWatermark) -> None:
    for partition in (ONE, OTHER):
        watermark.begin(partition, 0)
        watermark.reach(partition, 10, 90)
        watermark.begin(partition, 10)
    assert watermark.reach(ONE, 20, 95) == 90
    watermark.begin(ONE, 0)
    assert watermark.reach(ONE, 10, 5) == 5


def test_a_partition_that_does_not_begin_in_time_is_read_elsewhere(watermark: MinWatermark, clock: Clock) -> None:
    clock.now += 29
    watermark.begin(ONE, 0)
    clock.now += 29
    assert watermark.reach(ONE, 10, 50) is None
    clock.now += 1
    assert watermark.reach(ONE, 10, 50) == 50


def test_a_partition_that_is_no_longer_read_does_not_count(watermark: MinWatermark, clock: Clock) -> None:
    for partition in (ONE, OTHER):
        watermark.begin(partition, 0)
        watermark.reach(partition, 10, 10)
        watermark.begin(partition, 10)
    clock.now += 123
    assert watermark.reach(ONE, 20, 90) == 10
    clock.now += 1
    assert watermark.reach(ONE, 20, 90) == 90


def test_the_lag_of_a_topic_is_the_sum_of_its_partitions(watermark: MinWatermark) -> None:
    assert watermark.lag(ONE, 30) == 30
    assert watermark.lag(OTHER, 12) == 42
    assert watermark.lag(Partition("returns", 0), 5) == 5
    assert watermark.lag(ONE, 0) == 12
