"""A worker's inside: one item after the other, until the pool is gone."""

import faulthandler
import logging
import pickle
import threading
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from apache_beam.internal import cloudpickle
from apache_beam.metrics.cells import CounterCell
from apache_beam.runners.worker import statesampler

from .task import DONE, ENTERED, LOG, MADE, Failure, Item, Outcome, PermanentError, Staged, Task, failure_of

__all__ = ["dumps", "serve"]

_MOST_UPDATES = 10_000


def dumps(value: Any) -> bytes:
    """By reference where that is possible, by value (functions of a script, classes made on the way) where not."""
    try:
        pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return cloudpickle.dumps(value)
    return cloudpickle.dumps(value) if b"__main__" in pickled else pickled  # The other process has another __main__.


def serve(descriptor: int, last_words: int, task: Task) -> None:
    """Works until the other end closes."""
    link = _Link(descriptor)
    faulthandler.enable(last_words, all_threads=False)  # Where a segmentation fault was, for the dead letter.
    logging.root.handlers = [_Forward(link)]
    logging.root.setLevel(task.log_level)
    while (request := link.next()) is not None:
        outcome = _attempt(task, request, link)
        try:
            link.tell(DONE, outcome)
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # Not sent: a result that can't be pickled, or is too large for the memory.
            link.tell(DONE, outcome._replace(results=[], failure=_failure(task, error)))


class _Link:
    """The connection to the Beam worker, which threads of user code may share by logging."""

    def __init__(self, descriptor: int) -> None:
        self._connection, self._lock = Connection(descriptor), threading.Lock()

    def next(self) -> bytes | None:
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def tell(self, kind: bytes, said: Any) -> None:
        """One of the kinds of news in task.py, and what belongs to it."""
        message = kind + dumps(said)
        with self._lock:
            self._connection.send_bytes(message)


def _attempt(task: Task, request: bytes, link: _Link) -> Outcome:
    updates = _Updates()
    statesampler.set_current_tracker(updates)
    try:
        item: Item = pickle.loads(request)  # noqa: S301 (written by this run's own pool)
        if task.done is not None and task.done(item.element):
            return Outcome([], None, skipped=True, metrics=updates.all())
        results = task.results(_call(task.work, item, link))
        _mark(task, item)
        return Outcome(results, None, metrics=updates.all())
    except BaseException as error:  # SystemExit and its kin are the item's fault too.
        return Outcome([], _failure(task, error), metrics=updates.all())


def _call(work: Callable[[Any], Any], item: Item, link: _Link) -> Any:
    if not isinstance(work, Staged):
        return work(item.element)
    made = {stage: pickle.loads(value) for stage, value in item.made.items()}  # noqa: S301 (as above)
    return work.run(
        item.element,
        made,
        enter=lambda stage: link.tell(ENTERED, stage),
        keep=lambda stage, value: link.tell(MADE, (stage, dumps(value))),
    )


def _mark(task: Task, item: Item) -> None:
    mark = getattr(task.done, "mark", None)
    if mark is not None:
        mark(item.element)


def _failure(task: Task, error: BaseException) -> Failure:
    worth = not isinstance(error, PermanentError) and bool(task.worth_retrying(error))
    return failure_of(error)._replace(worth_retrying=worth)


class _Updates:
    """Stands where Beam's tracker stands and remembers what user code did to its metrics."""

    def __init__(self) -> None:
        self._counted: Counter[Any] = Counter()
        self._others: list[tuple[Any, Any]] = []

    def update_metric(self, name: Any, value: Any) -> None:
        """Called by every Metrics.counter(...).inc() and its kin."""
        if name.cell_type is CounterCell:
            self._counted[name] += value
        elif len(self._others) < _MOST_UPDATES:
            self._others.append((name, value))

    def all(self) -> tuple[tuple[Any, Any], ...]:
        return (*self._counted.items(), *self._others)


class _Forward(logging.Handler):
    """Log records go to the Beam worker, which knows where logs belong."""

    def __init__(self, link: _Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)  # With its traceback: the record's own may not be able to leave this process.
        fields = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname, "msg": text}
        places = {"pathname": record.pathname, "lineno": record.lineno, "funcName": record.funcName}
        self._link.tell(LOG, fields | places | {"created": record.created, "process": record.process})
