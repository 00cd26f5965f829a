"""How far a run is, while it goes on in this process."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_patterns.transforms.balance import Key, counters_in, element_counts

__all__ = ["Counts", "DirectRunner"]


class Counts:
    """The counters of a run: of finished bundles, and of the bundle in progress."""

    def __init__(self) -> None:
        self.stages = self.stages_done = 0
        self._done: Counter[Key] = Counter()
        self._entered: Counter[tuple[str, str]] = Counter()
        self._running: tuple[Any, Iterable[Any]] | None = None
        self._bundles = dict[str, Any]()
        self._elsewhere: Callable[[], Counter[Key]] = Counter
        self._seen: Counter[Key] = Counter()
        self._lock = threading.RLock()  # A signal may arrive while this thread holds it.

    @property
    def here(self) -> Counter[Key]:
        """The counters of bundles that ended in this process."""
        with self._lock:
            return self._done.copy()

    def now(self) -> Counter[Key]:
        """All counters, up to this moment."""
        with self._lock:
            with suppress(Exception):  # The other process may have ended: then the last values count.
                self._seen = self._elsewhere()
            return (self._done + self._of_running() + self._of_bundles()) | self._seen

    def entered(self) -> dict[str, int]:
        """The number of elements that each step, by its first label, has to process in total.

        It is known when the stage upstream has ended, in a runner that works stage by stage.
        """
        with self._lock:
            most: dict[str, int] = {}
            for (step, _), number in self._entered.items():
                most[step] = max(most.get(step, 0), number)
            return most

    def follow(self, elsewhere: Callable[[], Counter[Key]]) -> None:
        """Tells that the run goes on in another process, whose counters this function fetches."""
        with self._lock:
            if not self.stages:
                self._elsewhere = elsewhere

    def started(self, names: Any, workers: Iterable[Any]) -> None:
        """Notes that a bundle has started on these workers."""
        with self._lock:
            self._running = (names, workers)

    def finished(self, names: Any, infos: Iterable[Any]) -> None:
        """Notes that the bundle has ended, with these metrics."""
        with self._lock:
            self._running = None
            self._done.update(counters_in(names, infos))  # Unlike +=, this keeps counters that are 0.
            self._entered.update(_entered(names, infos))

    @contextmanager
    def bundle(self, cache: Any, instruction: str) -> Iterator[None]:
        """Follows a bundle that a worker in this process processes for a runner elsewhere, in parallel with others."""
        self._bundles[instruction] = cache
        try:
            yield
        finally:
            with self._lock:
                self._bundles.pop(instruction, None)

    def cut_off(self) -> None:
        """Takes the counters of bundles that will not end."""
        with self._lock:
            self._done += self._of_running() + self._of_bundles()
            self._running = None
            self._bundles.clear()

    @contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Keeps the counters on Ctrl-C: a bundle that is given up would take its counters with it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(*unused: Any) -> None:
            self.cut_off()
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _of_running(self) -> Counter[Key]:
        if self._running is None:
            return Counter()
        names, workers = self._running
        try:
            cells = [processor.monitoring_infos() for worker in workers for processor in _active(worker)]
        except Exception:  # The bundle has just ended, or Beam has changed inside.
            return Counter()
        return sum((counters_in(names, infos) for infos in cells), Counter())

    def _of_bundles(self) -> Counter[Key]:
        counted: Counter[Key] = Counter()
        for instruction, cache in list(self._bundles.items()):
            with suppress(Exception):  # It has just ended.
                _, processor = cache.active_bundle_processors[instruction]
                counted += counters_in(processor.process_bundle_descriptor.transforms, processor.monitoring_infos())
        return counted


class DirectRunner(FnApiRunner):
    """Beam's runner in this process, with its counters: Beam reports them only when the run has ended."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def run_stages(self, stage_context: Any, stages: Any) -> Any:
        """Runs the stages, and notes their number."""
        self._counts.stages = len(stages)
        return super().run_stages(stage_context, stages)

    def _run_bundle(self, context: Any, bundle_context: Any, *rest: Any) -> Any:
        names = bundle_context.process_bundle_descriptor.transforms
        self._counts.started(names, bundle_context.worker_handlers)
        answer = super()._run_bundle(context, bundle_context, *rest)
        self._counts.finished(names, answer[0].process_bundle.monitoring_infos)
        self._counts.stages_done += 1
        return answer


def _active(handler: Any) -> list[Any]:
    found = handler.worker.bundle_processor_cache.active_bundle_processors.values()
    return [processor for _, processor in list(found)]


def _entered(names: Any, infos: Iterable[Any]) -> Counter[tuple[str, str]]:
    """The number of elements that each step gets, by step and PCollection."""
    counts = element_counts(infos)
    taken: Counter[tuple[str, str]] = Counter()
    for transform in names.values():
        for pcollection in transform.inputs.values():
            step = transform.unique_name.partition("/")[0]
            taken[step, pcollection] = counts.get(pcollection, 0)
    return taken
