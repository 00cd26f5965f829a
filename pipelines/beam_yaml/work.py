"""Work queues, for YAML pipelines."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_patterns import transforms
from beam_patterns.transforms.queues import Message
from beam_patterns.transforms.work import Command, HttpWorker

from .config import ErrorHandling, Schema, mapping_of, seconds
from .queues import decoded
from .rows import as_message
from .transform import Errors, RowTransform

__all__ = ["MultiWorker", "WorkQueue"]

#: The last stage of a MultiWorker, which makes a message of the last result.
_RESULT = "the result"


class _WorkTransform(RowTransform):
    """Rows or messages to messages, or to rows of a schema."""

    def __init__(
        self, work: Callable[[Any], Any], attempts: int, timeout: str, workers: int, schema: Any, error_handling: Any
    ) -> None:
        queue = transforms.WorkQueue(work, attempts, seconds(timeout, f"{type(self).__name__}: timeout"))
        super().__init__(queue.with_workers(workers) if workers else queue, error_handling)
        self._schema = schema

    def _apply(self, rows: PCollection, errors: Errors) -> PCollection:
        if rows.element_type is not Message:
            rows = rows | "To items" >> beam.Map(as_message).with_output_types(Message)
        return decoded(super()._apply(rows, errors), self._schema, errors, self.label)


class WorkQueue(_WorkTransform):
    """Does work on every item, in processes that may hang or die. Give a command, a url or a function.

    Without a schema the output has messages: a result of bytes or text unchanged, any other result as JSON.

    Args:
        command: a program and its arguments, `[wc, -w, "{path}"]`, with the item's fields filled in, without a shell.
            The file that WORK_ITEM_FILE names holds the item as JSON; what the program prints is the result.
        url: a service to which each item is posted as JSON; its answer is the result.
        function: a Python function of one item by its full name, `my_package.labels.print_label`.
        attempts: how often an item is tried.
        timeout: how long an attempt may take, 90s or 15m.
        workers: number of items at a time on each machine; 0: as Beam's runner asks for.
        schema: a JSON schema: results are JSON objects of this form and become rows.
        error_handling: `{output: errors}`: the output for items whose last attempt failed.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        url: str = "",
        function: str = "",
        attempts: int = 3,
        timeout: str = "1m",
        workers: int = 0,
        schema: Schema = None,
        error_handling: ErrorHandling = None,
    ) -> None:
        given = {"command": command, "url": url, "function": function}
        work = _worker({name: value for name, value in given.items() if value}, "WorkQueue")
        super().__init__(_MessageWorker(work), attempts, timeout, workers, schema, error_handling)


class MultiWorker(_WorkTransform):
    """Several workers as one: each gets the result of the one before it. A retry starts at the worker that failed.

    Args:
        stages: workers by name, in order, each as in WorkQueue: `{words: {command: [wc, -w]}, told: {url: ...}}`.
        attempts: how often an item is tried.
        timeout: how long an attempt of all stages together may take, 90s or 15m.
        workers: number of items at a time on each machine; 0: as Beam's runner asks for.
        schema: a JSON schema: results are JSON objects of this form and become rows.
        error_handling: `{output: errors}`: the output for items whose last attempt failed.
    """

    def __init__(
        self,
        stages: Mapping[str, Any],
        attempts: int = 3,
        timeout: str = "1m",
        workers: int = 0,
        schema: Schema = None,
        error_handling: ErrorHandling = None,
    ) -> None:
        named, before = dict[str, Any](), "item"
        for name, given in mapping_of(stages, "MultiWorker: stages", "one: {command: [wc, -w]}").items():
            named[name], before = (_worker(given, f"MultiWorker: {name}"), before), name
        named[_RESULT] = (_message, before, "item")
        super().__init__(transforms.MultiWorker(**named), attempts, timeout, workers, schema, error_handling)


def _worker(given: Any, where: str) -> Callable[[Any], Any]:
    match given:
        case {"command": arguments, **rest} if not rest:
            return Command([str(argument) for argument in arguments] if isinstance(arguments, list) else arguments)
        case {"url": url, **rest} if not rest:
            return HttpWorker(url)
        case {"function": name, **rest} if not rest:
            return _OnItem(_imported(name, where))
    raise ValueError(f"{where} needs one of command: [wc, -w], url: https://host/path, function: package.name")


def _imported(name: str, where: str) -> Callable[[Any], Any]:
    module, _, function = name.rpartition(".")
    try:
        found: Callable[[Any], Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{where}: function {name!r} not found: {error}") from None
    if not callable(found):
        raise TypeError(f"{where}: {name!r} is not a function of one item but {found!r}")
    return found


class _OnItem:
    """A function of the JSON in a message, or of the result of another stage."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function, self.__name__ = function, getattr(function, "__name__", str(function))

    def __call__(self, item: Any) -> Any:
        return self._function(item.json() if isinstance(item, Message) else item)


class _MessageWorker:
    """A worker whose results are messages with their item's key."""

    result_type = Message

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work, self.__name__ = work, getattr(work, "__name__", str(work))

    def __call__(self, item: Message) -> Any:
        result = self._work(item)
        return (_message(one, item) for one in result) if inspect.isgenerator(result) else _message(result, item)


def _message(result: Any, item: Message) -> Message:
    return result if isinstance(result, Message) else as_message(result)._replace(key=item.key)
