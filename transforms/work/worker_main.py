"""The main loop of a worker process: one item after the other, until the pool closes the connection."""

import faulthandler
import logging
import pickle
import threading
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from apache_beam.internal import cloudpickle
from apache_beam.metrics.cells import CounterCell
from apache_beam.runners.worker import statesampler

from .task import Failure, MessageKind, Outcome, PermanentError, Task, failure_of

__all__ = ["dumps", "serve"]

_MAX_UPDATES = 10_000
_LOG_FIELDS = ("name", "levelno", "levelname", "pathname", "lineno", "funcName", "created", "process")


def dumps(value: Any) -> bytes:
    """Pickles a value: its classes and functions by reference if possible, else by value (those of a script)."""
    try:
        pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return cloudpickle.dumps(value)
    return cloudpickle.dumps(value) if b"__main__" in pickled else pickled  # The other process has another __main__.


def serve(descriptor: int, crash_output: int, task: Task) -> None:
    """Works on items until the other end of the connection is closed."""
    channel = _Channel(descriptor)
    faulthandler.enable(crash_output, all_threads=False)  # The traceback of a segmentation fault, for the dead letter.
    logging.root.handlers = [_LogForwarder(channel)]
    logging.root.setLevel(task.log_level)
    while (request := channel.receive()) is not None:
        outcome = _attempt(task, request, channel)
        try:
            channel.send(MessageKind.OUTCOME, outcome)
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # Nothing was sent: a result can't be pickled, or is too large for the memory.
            channel.send(MessageKind.OUTCOME, outcome._replace(results=[], failure=_failure(task, error)))


class _Channel:
    """The connection to the Beam worker; threads of user code may send log records at the same time."""

    def __init__(self, descriptor: int) -> None:
        self._connection, self._lock = Connection(descriptor), threading.Lock()

    def receive(self) -> bytes | None:
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def send(self, kind: bytes, content: Any) -> None:
        """Sends a message of this `MessageKind`."""
        message = kind + dumps(content)
        with self._lock:
            self._connection.send_bytes(message)


def _attempt(task: Task, request: bytes, channel: _Channel) -> Outcome:
    updates = _MetricUpdates()
    statesampler.set_current_tracker(updates)
    try:
        element, stage_results = pickle.loads(request)  # noqa: S301 (from this run's own pool)
        if task.done_check is not None and not task.force and task.done_check(element):
            return Outcome([], None, skipped=True, metrics=updates.all())
        results = task.results(_call(task.work, element, stage_results, channel))
        if (mark := getattr(task.done_check, "mark", None)) is not None:
            mark(element)
        return Outcome(results, None, metrics=updates.all())
    except BaseException as error:  # SystemExit, too, is a failure of the item.
        return Outcome([], _failure(task, error), metrics=updates.all())


def _call(work: Any, element: Any, stage_results: Mapping[str, bytes], channel: _Channel) -> Any:
    if not hasattr(work, "run_stages"):
        return work(element)
    return work.run_stages(
        element,
        {stage: pickle.loads(result) for stage, result in stage_results.items()},  # noqa: S301 (as above)
        on_start=lambda stage: channel.send(MessageKind.STAGE_STARTED, stage),
        on_result=lambda stage, result: channel.send(MessageKind.STAGE_RESULT, (stage, dumps(result))),
    )


def _failure(task: Task, error: BaseException) -> Failure:
    try:
        is_worth_retrying = not isinstance(error, PermanentError) and bool(task.is_worth_retrying(error))
    except Exception as second:
        second.add_note(f"raised by the function of with_retry(...), called with {error!r}")
        error, is_worth_retrying = second, False
    return failure_of(error)._replace(is_worth_retrying=is_worth_retrying)


class _MetricUpdates:
    """Records what user code does to its metrics, in place of Beam's state tracker."""

    def __init__(self) -> None:
        self._counters: Counter[Any] = Counter()
        self._others: list[tuple[Any, Any]] = []

    def update_metric(self, name: Any, value: Any) -> None:
        """Called by Beam for each `Metrics.counter(...).inc()` and the like."""
        if name.cell_type is CounterCell:
            self._counters[name] += value
        elif len(self._others) < _MAX_UPDATES:
            self._others.append((name, value))

    def all(self) -> tuple[tuple[Any, Any], ...]:
        return (*self._counters.items(), *self._others)


class _LogForwarder(logging.Handler):
    """Sends log records to the Beam worker, where logging is configured."""

    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)  # With its traceback: the exception in the record may not be picklable.
        except Exception:  # Wrong arguments of a logging call are not a failure of the item.
            self.handleError(record)
        else:
            fields = {name: getattr(record, name) for name in _LOG_FIELDS}
            self._channel.send(MessageKind.LOG_RECORD, fields | {"msg": text})
