"""The work queue pattern."""

import inspect
import logging
import os
import random
import typing
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.internal import cloudpickle
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.pvalue import PCollection
from apache_beam.transforms.util import ReshufflePerKey
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from .base.dead_letter import DeadLetter
from .base.guard import Guard, guarded_outputs, report_dead
from .base.hints import beam_type, return_hint
from .base.pattern import GuardedPattern, single_input
from .base.runners import LOCAL
from .work.step import Work
from .work.task import Staged, Task

__all__ = ["WorkQueue"]

_REMEDY = "Add .with_error_handler(...) to send such items to a dead-letter queue."


class WorkQueue(GuardedPattern):
    """Does real work on every item, each independent of the others, in local processes that may hang or die.

    ```
                        +--> worker process --+
    items --> spread ---+--> worker process --+--> results
                        +--> worker process --+
                                   |
                        failed: again, later; at last a dead letter
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import WorkQueue
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     sizes = p | beam.Create(["a", "bb"]) | WorkQueue(len, attempts=5, timeout=30).with_workers(1)
    ...     _ = sizes | beam.Map(print)
    1
    2

    Args:
        work: a function of one item, a Command, an HttpWorker or a MultiWorker. What it returns is the item's result;
            a generator function has as many results as it yields, all of them passed on when it has ended well.
        attempts: how often an item is tried before it becomes a dead letter.
        timeout: seconds for an attempt, after which its process and all it started are ended; None waits for ever.

    In: PCollection[T].
    Out: PCollection[R], R from the work's return annotation (of a generator's, what it yields), Any without one. A
    result that is a Message made of a Message gets an id made of that one's, so a repetition can be recognised.
    Streaming: item by item; results keep their item's window and timestamp. A bundle lasts as long as its slowest item.
    Failure: an error, a timeout or a crash costs the item one attempt and no other item anything; what failed for the
    last time goes to the error handler as a DeadLetter, or fails the run.
    Counters: in = out + dropped + dead; `out` are items whose work succeeded, `results` what came of them, `skipped`
    (and dropped) what the done check knew, `retried` attempts beyond the first. Distributions: service_us, gap_us
    (between arrivals), wait_us (for a free worker), held (whether all workers had enough to do when it came).
    Over beam.Map: processes that can be ended, timeouts, retries, done checks, both cores of a laptop busy.
    Source: Burns, Designing Distributed Systems, chapter 10.
    """

    _workers: int | None = None
    _worth: Any = BaseException
    _wait: Any = None
    _done: Callable[[Any], Any] | None = None

    def __init__(self, work: Callable[[Any], Any], attempts: int = 3, timeout: float | None = 60) -> None:
        super().__init__()
        if not callable(work):
            raise TypeError(f"WorkQueue(work) takes a function of one item, not {work!r}")
        if not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"WorkQueue(attempts={attempts!r}): an item is tried at least once, so give 1 or more")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"WorkQueue(timeout={timeout!r}): give seconds above 0, or None to wait for ever")
        _checked(work, "the work")
        self._work, self._attempts, self._timeout = work, attempts, timeout

    def with_workers(self, number: int) -> "WorkQueue":
        """So many worker processes per Beam worker; else one per core on local runners and one elsewhere."""
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"with_workers({number!r}): give the number of processes, 1 or more")
        return self._with(_workers=number)

    def with_retry(self, worth: Any = BaseException, wait: Any = None) -> "WorkQueue":
        """Which errors are worth a retry, and how long to wait for it.

        `worth` is a class of exceptions, a tuple of them, or a function of the exception. `wait` is any of tenacity's,
        such as `tenacity.wait_random_exponential(1, 60)`, the default: exponential with full jitter, a minute at most.
        """
        if wait is not None and not callable(wait):
            raise TypeError(f"with_retry(wait={wait!r}): give a wait of tenacity's, such as wait_fixed(5)")
        if not callable(worth) and not isinstance(worth, tuple):
            raise TypeError(f"with_retry({worth!r}): give a class of exceptions, a tuple of them or a function of one")
        _checked(worth, "worth")
        return self._with(_worth=worth, _wait=wait)

    def with_done_check(self, done: Callable[[Any], Any], force: bool = False) -> "WorkQueue":
        """Items for which `done(item)` is true are skipped; with `force` they are worked on again.

        The check runs in the worker process, before the work. If it has a method `mark`, that is called with the item
        after the work succeeded: see `DoneMarkers`.
        """
        if not callable(done):
            raise TypeError(f"with_done_check takes a function of one item, not {done!r}")
        _checked(done, "the done check")
        return self._with(_done=_Forced(done) if force else done)

    def expand(self, items: PCollection) -> PCollection:
        """The results."""
        single_input(self, items)
        task = Task(self._work, self._done, Worth(self._worth), logging.getLogger().getEffectiveLevel())
        made = result_type(self._work)
        fn = Work(
            Guard(self, items.element_type, counters=(), remedy=_REMEDY),
            cloudpickle.dumps(task),
            workers=self._workers or _default_workers(items.pipeline),
            timeout=self._timeout,
            attempts=self._attempts,
            retry=(task.worth_retrying, self._wait),
            work_name=_name(self._work),
            types=(items.element_type, made),
        )
        # Prism can't decode what a key's items in windows of their own become there.
        keyed = items.is_bounded and isinstance(items.windowing.windowfn, GlobalWindows)
        spread = items | "Spread" >> (_ByKey() if keyed else beam.Reshuffle())
        results, dead = guarded_outputs(self, spread, fn, {"results": made}, verb="Work", label="ParDo(Work)")
        if self._handler is not None:
            report_dead(self, dead | "Dead" >> beam.Map(_passed_on).with_output_types(DeadLetter))
        return results | "Results" >> beam.Map(_passed_on).with_output_types(made)


class _ByKey(beam.PTransform):
    """A Reshuffle that Flink can't leave out.

    In a batch job it takes the second of two for done, and reading a queue has one: all items would stay in one slot.
    """

    def expand(self, items: PCollection) -> PCollection:
        element = items.element_type
        return (
            items
            | "Key" >> beam.Map(_keyed).with_output_types(Tuple[int, element])
            | "Shuffle" >> ReshufflePerKey()
            | "Items" >> beam.Map(_unkeyed).with_output_types(element)
        )


def _keyed(element: Any) -> tuple[int, Any]:
    return random.getrandbits(32), element


def _unkeyed(pair: tuple[int, Any]) -> Any:
    return pair[1]


def _passed_on(element: Any) -> Any:
    """Beam loses what a finish_bundle yields to a step that takes batches: it empties the batches before, not after."""
    return element


class Worth:
    """Whether an error is worth a retry."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def __call__(self, error: BaseException) -> bool:
        if isinstance(self._given, type | tuple):
            return isinstance(error, self._given)
        return bool(self._given(error))


class _Forced:
    """A done check that is not asked, only told."""

    def __init__(self, done: Any) -> None:
        self._done = done

    def __call__(self, unused_item: Any) -> bool:
        return False

    def mark(self, item: Any) -> None:
        if hasattr(self._done, "mark"):
            self._done.mark(item)


def result_type(work: Any) -> Any:
    """The type of the elements that a worker makes, from its annotation."""
    declared = getattr(work, "result_type", None)
    if declared is not None:
        return declared
    if isinstance(work, Staged):
        return result_type(work.last)
    hint = return_hint(work)
    function = work if inspect.isroutine(work) else type(work).__call__
    if inspect.isgeneratorfunction(function):
        hint = (typing.get_args(hint) or (Any,))[0]
    return beam_type(hint)


def _checked(given: Any, what: str) -> None:
    try:
        cloudpickle.dumps(given)
    except Exception as error:
        raise TypeError(
            f"{what} {_name(given)} can't be sent to a worker process: {error}; open connections and the like inside it"
        ) from error


def _name(work: Any) -> str:
    return getattr(work, "__name__", None) or str(work)


def _default_workers(pipeline: Any) -> int:
    runner = type(pipeline.runner).__name__
    local = runner in LOCAL or pipeline.options.view_as(PortableOptions).environment_type == "LOOPBACK"
    if not local:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
