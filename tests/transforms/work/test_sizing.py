"""The arithmetic of scaling, checked against textbook values, laws and a simulated queue."""

import heapq
import math
import os
import random
from collections.abc import Callable

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.work.sizing import Concurrency, concurrency_of
from tests import working
from tests.streams import part_of, stream


def test_the_wait_for_one_worker_is_that_of_the_textbook() -> None:
    # M/M/1: rho / (mu - lambda)
    assert Concurrency(gap=1 / 8, service=1 / 10, workers=1).wait == pytest.approx(0.8 / (10 - 8))


def test_the_wait_for_several_workers_is_that_of_the_textbook() -> None:
    # M/M/2 with load 1.5: C = 9/14, wait = C / (2 mu - lambda)
    assert Concurrency(gap=1.0, service=1.5, workers=2).wait == pytest.approx(9 / 14 * 1.5 / 0.5)


rates = st.floats(0.001, 1000)


@pytest.mark.integration
@given(rates, rates, st.integers(1, 200))
def test_the_needed_workers_are_enough_and_one_fewer_is_not(gap: float, service: float, workers: int) -> None:
    queue = Concurrency(gap, service, workers)
    assert queue._replace(workers=queue.needed).utilisation <= 0.8 + 1e-6
    if 1 < queue.needed < 1_000_000:
        assert queue._replace(workers=queue.needed - 1).utilisation > 0.8


@given(rates, rates, st.integers(1, 200))
def test_one_more_worker_never_makes_the_wait_longer(gap: float, service: float, workers: int) -> None:
    queue = Concurrency(gap, service, workers)
    assert queue._replace(workers=workers + 1).wait <= queue.wait
    assert queue.wait >= 0
    assert math.isinf(queue.wait) == (queue.utilisation >= 1)


def test_the_expected_wait_is_that_of_a_simulated_queue() -> None:
    dice, free, now, waited = random.Random(1), [0.0] * 3, 0.0, 0.0
    items = 200_000
    for _ in range(items):
        now += dice.expovariate(1.0)
        start = max(now, heapq.heappop(free))
        waited += start - now
        heapq.heappush(free, start + dice.expovariate(1 / 2.4))
    assert waited / items == pytest.approx(Concurrency(1.0, 2.4, 3).wait, rel=0.1)


def test_items_that_arrive_all_at_once_are_a_backlog() -> None:
    queue = Concurrency(gap=0.0, service=0.5, workers=2)
    assert queue.advice() == (
        "2 workers were busy 100 % of the time and processed 4 items/s from a backlog. Twice as many workers halve the "
        "time."
    )
    with pytest.raises(ValueError, match="items that arrive all at once have no rate"):
        _ = queue.needed


@pytest.mark.integration
def test_the_advice_for_a_backlog_is_about_its_time_and_not_about_waiting() -> None:
    assert Concurrency(gap=0.51, service=1.0, workers=2, backlog=True).advice() == (
        "2 workers were busy 98 % of the time and processed 1.96 items/s from a backlog. Twice as many workers halve "
        "the time."
    )
    assert Concurrency(gap=0.001, service=0.001, workers=2, backlog=True).advice() == (
        "2 workers were busy 50 % of the time and processed 1,000 items/s from a backlog. The items are too small for "
        "more workers to help."
    )


@pytest.mark.integration
def test_the_advice_for_too_few_workers_shows_the_wait_with_more() -> None:
    assert Concurrency(gap=1.0, service=1.8, workers=2).advice() == (
        "2 workers were busy 90 % of the time; on average an item waits 7.7 s for a worker. 3 workers would cut the "
        "wait to 532 ms."
    )


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_a_run_measures_each_of_its_work_queues(pipeline: Callable[..., beam.Pipeline]) -> None:
    p = pipeline()
    numbers = p | beam.Create(range(20))
    _ = numbers | "Mail" >> WorkQueue(working.times_ten).with_workers(2)
    _ = numbers | "Text" >> WorkQueue(working.process_id).with_workers(1)
    _ = numbers | "Cores" >> WorkQueue(working.times_ten)
    result = p.run()
    result.wait_until_finish()
    found, cores = dict(concurrency_of(result, p)), len(os.sched_getaffinity(0))
    assert {label: queue.workers for label, queue in found.items()} == {"Mail": 2, "Text": 1, "Cores": cores}
    assert all(0 < queue.service < 10 for queue in found.values())
    assert [label for label, queue in found.items() if queue.backlog] == list(found)


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_items_that_arrive_one_by_one_are_not_a_backlog(streaming: Callable[[], beam.Pipeline]) -> None:
    p = streaming()
    one_by_one = stream(*(event for n in range(12) for event in ((("item", str(n)), n), n + 1)))
    _ = p | one_by_one | WorkQueue(part_of).with_workers(1)
    result = p.run()
    result.wait_until_finish()
    ((_, queue),) = concurrency_of(result, p)
    assert not queue.backlog
