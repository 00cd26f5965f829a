"""The step that hands items to a pool of worker processes and emits their results."""

import heapq
import itertools
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import List
from apache_beam.utils.windowed_value import WindowedValue

from ..base.dead_letter import DeadLetter
from ..base.errors import ElementError
from ..base.guard import DEAD, Guard, GuardedStep, shortened
from ..base.message import identified
from .pool import PoolError, PoolReference
from .task import Failure, Job, Outcome

__all__ = ["ITEMS_PER_WORKER", "RetryPolicy", "Work"]

#: Items in flight per worker process: one that is worked on, and the next one.
ITEMS_PER_WORKER = 2
_MAX_WAITING = 1_000
_DISTRIBUTIONS = ("service_us", "wait_us", "gap_us", "held", "workers")


class RetryPolicy(NamedTuple):
    """When an item is tried again: how often, after which errors, and after what pause."""

    attempts: int
    is_worth_retrying: Callable[[BaseException], Any]
    wait: Callable[[Any], float] | None
    """A wait strategy of tenacity; by default exponential with full jitter, up to a minute."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after this attempt, counted from 1."""
        import tenacity

        wait = self.wait or tenacity.wait_random_exponential(1, 60)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = attempt
        return wait(state)


class Work(GuardedStep):
    """Sends items to a pool of worker processes and yields their results and dead letters.

    It accepts batches only, for which Beam gathers elements: with `process`, each one would wait for the one before.
    """

    def __init__(
        self, guard: Guard, task: bytes, workers: int, timeout: float | None, retry: RetryPolicy, work_name: str
    ) -> None:
        super().__init__(guard)
        self._task, self._workers, self._timeout, self._retry = task, workers, timeout, retry
        self._work_name = work_name

    def get_input_batch_type(self, input_type: Any) -> Any:
        return List[input_type]

    def setup(self) -> None:
        super().setup()
        self._pool = PoolReference(self._task, self._workers, self._timeout)
        self._arrived_at = 0.0
        self._running = dict[int, Job]()

    def teardown(self) -> None:
        if hasattr(self, "_pool"):
            self._abandon()
            self._pool.release()

    def start_bundle(self) -> None:
        super().start_bundle()
        self._abandon()
        self._metrics = metrics = MetricsEnvironment.current_container()  # Here Beam knows the step: see metrics.py.
        self._distributions = {n: metrics.get_distribution(MetricName("WorkQueue", n)) for n in _DISTRIBUTIONS}
        self._distributions["workers"].update(self._workers)
        self._finished: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._retries: list[tuple[float, int, Job]] = []
        """When each is due, and a number, so that jobs are not compared."""
        self._numbers = itertools.count()

    def _abandon(self) -> None:
        """Abandons the jobs that still run after their bundle failed."""
        for job in self._running.values():
            job.abandoned = True
        self._running = {}

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        for element in batch:
            self._measure_arrival()
            while self._is_full():
                yield from self._next_outputs()
            self._guard.count({"in": 1})  # Not before its work can begin: the progress display shows this counter.
            self._submit(Job(element, timestamp, window, self._finished))

    def finish_bundle(self) -> Iterator[Any]:
        while self._running or self._retries:
            yield from self._next_outputs()

    def _is_full(self) -> bool:
        return len(self._running) >= ITEMS_PER_WORKER * self._workers or len(self._retries) >= _MAX_WAITING

    def _submit(self, job: Job) -> None:
        job.attempts += 1
        self._running[id(job)] = job
        self._pool.pool.submit(job)

    def _next_outputs(self) -> Iterator[Any]:
        """Waits for the end of an attempt, or until a retry is due; yields the outputs in their item's own window."""
        while self._retries and self._retries[0][0] <= time.monotonic():
            self._submit(heapq.heappop(self._retries)[2])
        try:
            job = self._finished.get(timeout=max(self._retries[0][0] - time.monotonic(), 0) if self._retries else None)
        except queue.Empty:
            return
        del self._running[id(job)]
        if job.outcome is None:
            raise PoolError(f"{self._guard.step}: {self._pool.pool.error}")
        self._measure_attempt(job, job.outcome)
        if job.outcome.failure is not None:
            for letter in self._failed(job, job.outcome, job.outcome.failure):
                yield TaggedOutput(DEAD, WindowedValue(letter, job.timestamp, (job.window,)))
        elif job.outcome.skipped:
            self._guard.count({"dropped": 1, "skipped": 1})
        else:
            self._guard.passed(1)
            self._guard.count({"out": 1, "results": len(job.outcome.results)})
            for result in identified(job.element, job.outcome.results):
                yield WindowedValue(result, job.timestamp, (job.window,))

    def _failed(self, job: Job, outcome: Outcome, failure: Failure) -> Iterator[DeadLetter]:
        """Yields the item's dead letter, unless the item is tried again."""
        job.last_failed_at = time.time()
        job.first_failed_at = job.first_failed_at or job.last_failed_at
        retry, error = self._retry, outcome.error
        is_worth_retrying = failure.is_worth_retrying if error is None else retry.is_worth_retrying(error)
        if is_worth_retrying and job.attempts < retry.attempts:
            self._guard.count({"retried": 1})
            pause = max(retry.pause(job.attempts), failure.retry_after or 0)
            heapq.heappush(self._retries, (time.monotonic() + pause, next(self._numbers), job))
            return
        letter = self._guard.noted(self._letter(job, failure))
        self._guard.passed(1)
        self._guard.count({"dead": 1})
        yield letter

    def _letter(self, job: Job, failure: Failure) -> DeadLetter:
        if not self._guard.handled:  # Not the guard's error, which has no place for the worker process's traceback.
            trace = f" In the worker process:\n{failure.traceback}" if failure.traceback else ""
            raise ElementError(
                f"{self._guard.step}: {self._work_name} failed on attempt {job.attempts} of {self._retry.attempts} "
                f"with {failure.error_type}: {failure.message}, on {shortened(job.element)}. Add "
                f".with_error_handler(...) to send such items to a dead-letter queue.{trace}"
            )
        return self._guard.record(job.element, RuntimeError(failure.message))._replace(
            attempts=job.attempts,
            first_failed_at=job.first_failed_at,
            last_failed_at=job.last_failed_at,
            error_type=failure.error_type,
            traceback=failure.traceback,
            fingerprint=failure.fingerprint,
        )

    def _measure_arrival(self) -> None:
        now = time.perf_counter()
        if self._arrived_at:
            self._distributions["gap_us"].update(int((now - self._arrived_at) * 1e6))
        self._distributions["held"].update(int(self._is_full()))
        self._arrived_at = now

    def _measure_attempt(self, job: Job, outcome: Outcome) -> None:
        self._distributions["service_us"].update(int((job.ended_at - job.started_at) * 1e6))
        self._distributions["wait_us"].update(int((job.started_at - job.submitted_at) * 1e6))
        self._guard.times.note(job.ended_at - job.started_at, 1)
        for name, value in outcome.metrics:  # What user code did to its own metrics in the worker process.
            self._metrics.get_metric_cell(name).update(value)
