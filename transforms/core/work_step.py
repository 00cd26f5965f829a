"""The step that hands items to a pool of workers and takes their results back."""

import heapq
import itertools
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import registry
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import List
from apache_beam.utils.windowed_value import WindowedValue

from ..dead_letters import DeadLetter
from ..workers.pool import Lease, PoolError
from ..workers.task import Failure, Job, Outcome
from .breaker import Breaker, Failures
from .message import MESSAGE_ID, Message
from .routing import ElementError, shortened
from .work_measures import PER_WORKER, Measures

__all__ = ["DEAD", "Work"]

DEAD = "dead-letters"
_MOST_WAITING = 1_000


class Work(beam.DoFn):
    """Takes batches only: the SDK then gathers elements, while one by one each would have to wait for the last."""

    def __init__(
        self,
        task: bytes,
        *,
        workers: int,
        timeout: float | None,
        attempts: int,
        retry: tuple[Callable[[BaseException], bool], Callable[[Any], float] | None],
        step: str,
        asks: str,
        guarded: bool,
        breaker: Breaker | None,
        types: tuple[Any, Any],
    ) -> None:
        self._task, self._workers, self._timeout, self._attempts = task, workers, timeout, attempts
        self._worth, self._wait = retry
        self._step, self._asks, self._guarded = step, asks, guarded
        self._breaker = breaker
        self._item_type, self._result_type = types

    def get_input_batch_type(self, unused_type: Any) -> Any:
        return List[self._item_type]

    def infer_output_type(self, unused_type: Any) -> Any:
        return self._result_type

    def setup(self) -> None:
        self._coder = registry.get_coder(self._item_type)
        self._lease = Lease(self._task, self._workers, self._timeout)
        self._failures = Failures(self._breaker, self._step) if self._breaker else None
        self._arrived = 0.0
        self._running = dict[int, Job]()

    def teardown(self) -> None:
        if hasattr(self, "_lease"):
            self._abandon()
            self._lease.end()

    def start_bundle(self) -> None:
        self._abandon()
        self._measures = Measures(self._workers, self._arrived)
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._waiting: list[tuple[float, int, Job]] = []
        self._turn = itertools.count()

    def _abandon(self) -> None:
        """What is still running belongs to a bundle that failed."""
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
            self._measures.count("in")  # When its work begins, so that whoever watches sees how far it is.
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
        """Waits for an item, or until a retry is due; what came of the item, in the item's own window."""
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
            raise PoolError(f"{self._step}: {self._lease.pool.lost}")
        self._measures.attempt(job, outcome)
        if outcome.failure is not None:
            return [], self._failed(job, outcome, outcome.failure)
        if outcome.skipped:
            self._measures.count("dropped", "skipped")
            return [], []
        self._passed()
        self._measures.count("out")
        self._measures.count("results", number=len(outcome.results))
        return _identified(job.element, outcome.results), []

    def _failed(self, job: Job, outcome: Outcome, failure: Failure) -> list[DeadLetter]:
        """Nothing if the item is tried again, its dead letter if not."""
        now = time.time()
        job.first_failed_at = job.first_failed_at or now
        worth = failure.worth_retrying if outcome.error is None else self._worth(outcome.error)
        if worth and job.attempts < self._attempts:
            self._measures.count("retried")
            pause = max(self._pause(job.attempts), failure.retry_after or 0)
            heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._turn), job))
            return []
        if not self._guarded:
            raise ElementError(self._complaint(job, failure))
        self._measures.count("dead")
        letter = DeadLetter.of(
            job.element,
            RuntimeError(failure.message),
            step=self._step,
            coder=self._coder,
            attempts=job.attempts,
        )
        letter = letter._replace(
            first_failed_at=job.first_failed_at,
            last_failed_at=now,
            error_type=failure.error_type,
            traceback=failure.traceback,
            fingerprint=failure.fingerprint,
        )
        if self._failures is not None:
            self._failures.note(letter, at=0)
        self._passed()
        return [letter]

    def _passed(self) -> None:
        if self._failures is not None:
            self._failures.passed(1)

    def _complaint(self, job: Job, failure: Failure) -> str:
        return (
            f"{self._step}: {self._asks} failed {job.attempts} times, at last with {failure.error_type}: "
            f"{failure.message}, on {shortened(job.element)}. Add .with_error_handler(...) to send such items to a "
            f"dead-letter queue.\n{failure.traceback}"
        )

    def _pause(self, attempt: int) -> float:
        import tenacity

        wait = self._wait or tenacity.wait_random_exponential(1, 60)
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = attempt
        return wait(state)


def _identified(item: Any, results: list[Any]) -> list[Any]:
    """Messages made of a message get an id that is the same whenever they are made again."""
    if not isinstance(item, Message):
        return results
    base = item.with_id().attribute(MESSAGE_ID) or b""
    return [_with_id(result, base, index) for index, result in enumerate(results)]


def _with_id(result: Any, base: bytes, index: int) -> Any:
    if not isinstance(result, Message) or result.source is not None or result.attribute(MESSAGE_ID) is not None:
        return result
    return result.with_attributes(**{MESSAGE_ID: b"%s/%d" % (base, index)})
