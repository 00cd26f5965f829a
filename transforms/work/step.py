"""The step that hands items to a pool of worker processes and takes their results back."""

import heapq
import itertools
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import List
from apache_beam.utils.windowed_value import WindowedValue

from ..base.dead_letter import DeadLetter
from ..base.guard import DEAD, Guard, GuardedStep, shortened
from ..base.message import identified
from .measures import PER_WORKER, Measures
from .pool import Lease, PoolError
from .task import Failure, Job, Outcome

__all__ = ["Work"]

_MOST_WAITING = 1_000


class Work(GuardedStep):
    """Takes batches only, so that the SDK gathers elements; one by one each element would wait for the one before."""

    def __init__(
        self,
        guard: Guard,
        task: bytes,
        *,
        workers: int,
        timeout: float | None,
        attempts: int,
        retry: tuple[Callable[[BaseException], bool], Callable[[Any], float] | None],
        work_name: str,
        types: tuple[Any, Any],
    ) -> None:
        super().__init__(guard)
        self._task, self._workers, self._timeout, self._attempts = task, workers, timeout, attempts
        self._is_worth_retrying, self._wait = retry
        self._work_name = work_name
        self._item_type, self._result_type = types

    def get_input_batch_type(self, unused_type: Any) -> Any:
        return List[self._item_type]

    def infer_output_type(self, unused_type: Any) -> Any:
        return self._result_type

    def setup(self) -> None:
        super().setup()
        self._lease = Lease(self._task, self._workers, self._timeout)
        self._arrived = 0.0
        self._running = dict[int, Job]()

    def teardown(self) -> None:
        if hasattr(self, "_lease"):
            self._abandon()
            self._lease.end()

    def start_bundle(self) -> None:
        super().start_bundle()
        self._abandon()
        self._measures = Measures(self._workers, self._arrived)
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._waiting: list[tuple[float, int, Job]] = []
        self._turn = itertools.count()

    def _abandon(self) -> None:
        """Gives up what is still running, which belongs to a bundle that failed."""
        for job in self._running.values():
            job.abandoned = True
        self._running = {}

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        for element in batch:
            self._measures.arrival(held=self._full())
            while self._full():
                yield from self._settled()
            self._measures.count("in")  # When its work begins, so that the progress display is right.
            self._submit(Job(element, (timestamp, window), self._done))

    def finish_bundle(self) -> Iterator[Any]:
        while self._running or self._waiting:
            yield from self._settled()
        self._arrived = self._measures.arrived

    def _full(self) -> bool:
        return len(self._running) >= PER_WORKER * self._workers or len(self._waiting) >= _MOST_WAITING

    def _submit(self, job: Job) -> None:
        job.attempts += 1
        self._running[id(job)] = job
        self._lease.pool.submit(job)

    def _settled(self) -> Iterator[Any]:
        """Waits for an item, or until a retry is due; yields the item's results in the item's own window."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._submit(heapq.heappop(self._waiting)[2])
        try:
            job = self._done.get(timeout=max(self._waiting[0][0] - time.monotonic(), 0) if self._waiting else None)
        except queue.Empty:
            return
        del self._running[id(job)]
        timestamp, window = job.place
        results, letters = self._outputs(job)
        for result in results:
            yield WindowedValue(result, timestamp, (window,))
        for letter in letters:
            yield TaggedOutput(DEAD, WindowedValue(letter, timestamp, (window,)))

    def _outputs(self, job: Job) -> tuple[list[Any], list[DeadLetter]]:
        outcome = job.outcome
        if outcome is None:
            raise PoolError(f"{self._guard.step}: {self._lease.pool.lost}")
        self._measures.attempt(job, outcome)
        if outcome.failure is not None:
            return [], self._failed(job, outcome, outcome.failure)
        if outcome.skipped:
            self._measures.count("dropped", "skipped")
            return [], []
        self._guard.passed(1)
        self._measures.count("out")
        self._measures.count("results", number=len(outcome.results))
        return identified(job.element, outcome.results), []

    def _failed(self, job: Job, outcome: Outcome, failure: Failure) -> list[DeadLetter]:
        """The item's dead letter; nothing if the item is tried again."""
        now = time.time()
        job.first_failed_at = job.first_failed_at or now
        is_worth = failure.worth_retrying if outcome.error is None else self._is_worth_retrying(outcome.error)
        if is_worth and job.attempts < self._attempts:
            self._measures.count("retried")
            pause = max(self._pause(job.attempts), failure.retry_after or 0)
            heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._turn), job))
            return []
        letter = self._guard.noted(self._letter(job, failure, now))
        self._guard.passed(1)
        self._measures.count("dead")
        return [letter]

    def _letter(self, job: Job, failure: Failure, now: float) -> DeadLetter:
        error = RuntimeError(failure.message)
        error.add_note(failure.traceback)
        complaint = (
            f"{self._work_name} failed {job.attempts} times, at last with {failure.error_type}: {failure.message}, "
            f"on {shortened(job.element)}"
        )
        return self._guard.record(job.element, error, complaint)._replace(
            attempts=job.attempts,
            first_failed_at=job.first_failed_at,
            last_failed_at=now,
            error_type=failure.error_type,
            traceback=failure.traceback,
            fingerprint=failure.fingerprint,
        )

    def _pause(self, attempt: int) -> float:
        import tenacity

        wait = self._wait or tenacity.wait_random_exponential(1, 60)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = attempt
        return wait(state)
