"""The work queue pattern."""

import inspect
import logging
import operator
import os
import random
import typing
from collections.abc import Callable
from typing import Any, Self

import apache_beam as beam
from apache_beam.internal import cloudpickle
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.pvalue import PCollection
from apache_beam.transforms.util import ReshufflePerKey
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from .base.dead_letter import DeadLetter
from .base.guard import RESERVED, Guard, guarded_outputs, report_dead
from .base.hints import beam_type, return_hint
from .base.pattern import GuardedPattern, single_input
from .base.runners import LOCAL
from .work.step import RetryPolicy, Work
from .work.task import Task

__all__ = ["WorkQueue"]


class WorkQueue(GuardedPattern[PCollection[Any], PCollection[Any]]):
    """Does real work on every item, independently of all others, in local processes that may hang or crash.

    ```
                        +--> worker process --+
    items --> spread ---+--> worker process --+--> results
                        +--> worker process --+
                                   |
                        failed: retries with growing pauses, then a dead letter
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import WorkQueue
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     sizes = p | beam.Create(["a", "bb"]) | WorkQueue(len, attempts=5, timeout=30).with_workers(1)
    ...     _ = sizes | beam.Map(print)
    1
    2

    Args:
        work: a function of one item, a Command, an HttpWorker or a MultiWorker. The return value is the item's result.
            A generator function yields several results, which are passed on when it has ended without an error.
        attempts: maximum number of attempts, after which an item becomes a dead letter.
        timeout: seconds for an attempt, after which its process and all that it started are killed; None: no timeout.

    In: PCollection[T].
    Out: PCollection[R], with R from the work's return annotation (of a generator function: the type that it yields),
    Any without one. A Message that is the result of a Message gets an id derived from that message's, so that a
    consumer can recognise repetitions.
    Streaming: item by item; results keep their item's window and timestamp. A bundle lasts as long as its slowest item.
    Failure: an error, a timeout or a crash costs the item one attempt and does not affect other items. After the last
    attempt the item goes to the error handler as a DeadLetter, or fails the run.
    Counters: in = out + dropped + dead. `out` counts the items whose work succeeded, `results` their results, `skipped`
    (and `dropped`) the items that the done check knew, `retried` the attempts beyond the first. Distributions:
    service_us, gap_us (between arrivals), wait_us (for a free worker), held (whether all workers had enough items when
    an item arrived).
    Over beam.Map: processes that can be killed, timeouts, retries, done checks, all cores of a laptop in use.
    Source: Burns, Designing Distributed Systems, chapter 10.
    """

    _workers: int | None = None
    _worth: Any = BaseException
    _wait: Any = None
    _done: Callable[[Any], Any] | None = None
    _force = False

    def __init__(self, work: Callable[[Any], Any], attempts: int = 3, timeout: float | None = 60) -> None:
        super().__init__()
        _check_callable(work, "WorkQueue(work)")
        if not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"WorkQueue(attempts={attempts!r}): give the number of attempts, 1 or more")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"WorkQueue(timeout={timeout!r}): give seconds above 0, or None for no timeout")
        self._work, self._attempts, self._timeout = work, attempts, timeout

    def with_workers(self, number: int) -> Self:
        """Number of worker processes per Beam worker; by default one per core on local runners, and one elsewhere."""
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"with_workers({number!r}): give the number of processes, 1 or more")
        return self._with(_workers=number)

    def with_retry(self, worth: Any = BaseException, wait: Any = None) -> Self:
        """Errors that are worth a retry, and the pause before it.

        `worth` is a class of exceptions, a tuple of them, or a function of the exception. `wait` is a wait strategy of
        tenacity, by default `tenacity.wait_random_exponential(1, 60)`: exponential with full jitter, up to a minute.
        """
        if wait is not None and not callable(wait):
            raise TypeError(f"with_retry(wait={wait!r}): give a wait strategy of tenacity, such as wait_fixed(5)")
        if not callable(worth) and not isinstance(worth, tuple):
            raise TypeError(f"with_retry({worth!r}): give a class of exceptions, a tuple of them or a function of one")
        _check_picklable(worth, "with_retry")
        return self._with(_worth=worth, _wait=wait)

    def with_done_check(self, done: Callable[[Any], Any], force: bool = False) -> Self:
        """Skips items for which `done(item)` is true; with `force` they are worked on again.

        The check runs in the worker process, before the work. If it has a method `mark`, that is called with the item
        after the work succeeded: see `DoneMarkers`.
        """
        _check_callable(done, "with_done_check")
        return self._with(_done=done, _force=force)

    def expand(self, items: PCollection[Any]) -> PCollection[Any]:
        """The results."""
        single_input(self, items)
        worth = self._worth
        is_worth = (lambda error: isinstance(error, worth)) if isinstance(worth, type | tuple) else worth
        task = Task(self._work, self._done, is_worth, logging.getLogger().getEffectiveLevel(), self._force)
        results_type = result_type(self._work)
        fn = Work(
            Guard(self, items.element_type, counters=(*RESERVED, "skipped", "results", "retried")),
            cloudpickle.dumps(task),
            workers=self._workers or _default_workers(items.pipeline),
            timeout=self._timeout,
            retry=RetryPolicy(self._attempts, is_worth, self._wait),
            work_name=_name(self._work),
        )
        # On Prism, items in windows can't be decoded after a shuffle by key.
        by_key = items.is_bounded and isinstance(items.windowing.windowfn, GlobalWindows)
        spread = items | "Spread" >> (_ReshuffleByKey() if by_key else beam.Reshuffle())
        results, dead = guarded_outputs(self, spread, fn, {"results": results_type}, verb="Work", label="ParDo(Work)")
        if self._handler is not None:
            report_dead(self, dead | "Dead" >> beam.Map(_unchanged).with_output_types(DeadLetter))
        return results | "Results" >> beam.Map(_unchanged).with_output_types(results_type)


class _ReshuffleByKey(beam.PTransform):
    """A Reshuffle that Flink executes.

    In a batch job, Flink leaves out the second of two Reshuffles, and reading a queue has one: all items would stay in
    one slot.
    """

    def expand(self, items: PCollection[Any]) -> PCollection[Any]:
        element = items.element_type
        return (
            items
            | "Key" >> beam.Map(_with_random_key).with_output_types(Tuple[int, element])
            | "Shuffle" >> ReshufflePerKey()
            | "Items" >> beam.Map(operator.itemgetter(1)).with_output_types(element)
        )


def _with_random_key(element: Any) -> tuple[int, Any]:
    return random.getrandbits(32), element


def _unchanged(element: Any) -> Any:
    # This step takes elements. Beam loses what `finish_bundle` yields to a step that takes batches: it flushes that
    # step's batches before `finish_bundle`, not after (seen in 2.77).
    return element


def result_type(work: Any) -> Any:
    """The type of a worker's results, from its annotation."""
    declared = getattr(work, "result_type", None)
    if declared is not None:
        return declared
    if hasattr(work, "last_stage"):
        return result_type(work.last_stage)
    hint = return_hint(work)
    function = work if inspect.isroutine(work) else type(work).__call__
    if inspect.isgeneratorfunction(function):
        hint = (typing.get_args(hint) or (Any,))[0]
    return beam_type(hint)


def _check_callable(given: Any, place: str) -> None:
    if not callable(given):
        raise TypeError(f"{place} takes a function of one item, not {given!r}")
    _check_picklable(given, place)


def _check_picklable(given: Any, place: str) -> None:
    try:
        cloudpickle.dumps(given)
    except Exception as error:
        raise TypeError(
            f"{place}: {_name(given)} can't be sent to a worker process: {error}; open connections when it is called"
        ) from error


def _name(work: Any) -> str:
    return getattr(work, "__name__", None) or str(work)


def _default_workers(pipeline: Any) -> int:
    runner = type(pipeline.runner).__name__
    local = runner in LOCAL or pipeline.options.view_as(PortableOptions).environment_type == "LOOPBACK"
    if not local:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
