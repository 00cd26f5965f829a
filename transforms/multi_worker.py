"""The multi-worker pattern."""

import inspect
import time
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from apache_beam.metrics import Metrics

from .work.task import Staged

__all__ = ["MultiWorker"]

_ITEM = "item"
Stage = tuple[Callable[..., Any], tuple[str, ...]]


class MultiWorker(Staged):
    """Several workers that look like one.

    ```
    MultiWorker(detect, tag, blur):   item --> detect --> tag --> blur --> result

    MultiWorker(faces=detect, names=(tag, "faces"), blurred=(blur, "item", "faces")):
                                      item --> faces --> names
                                        |        |
                                        +--------+--> blurred --> result
    ```

    >>> from beam_patterns.transforms import MultiWorker
    >>> MultiWorker(str.strip, str.title)("  ann ")
    'Ann'
    >>> MultiWorker(words=str.split, letters=len, told=("{} words, {} letters".format, "words", "letters"))("ab cd")
    "['ab', 'cd'] words, 5 letters"

    Given in order, each stage gets what the one before made. Given by name, a stage is a function of the item, or a
    tuple of a function and the names of what it needs, in the order of its arguments: other stages, or "item". Every
    stage runs once, after all it needs; the stage written last makes the result.

    It is a worker: `WorkQueue(MultiWorker(...))`. A retry there starts at the stage that failed, with what the others
    made, even after a crash or a timeout; a stage whose result can't be pickled is made again. The timeout is for all
    stages together.

    Args:
        stages: functions of one item (or Commands, HttpWorkers), in order.
        named: the same by name, with their needs.

    Failure: errors say the stage. Counters: one per stage, in the namespace MultiWorker, and its distribution NAME_us.
    Source: Burns, Designing Distributed Systems, chapter 10 (the multi-worker pattern).
    """

    def __init__(self, *stages: Callable[[Any], Any], **named: Any) -> None:
        if bool(stages) == bool(named):
            raise TypeError("MultiWorker takes its stages either in order or by name, and at least one")
        self._stages = _in_order(stages) if stages else _by_name(named)
        self._result = tuple(self._stages)[-1]
        self.last = self._stages[self._result][0]
        for name, (work, _) in self._stages.items():
            if name != self._result and inspect.isgeneratorfunction(work):
                raise TypeError(f"MultiWorker: {name} yields several results; only the last stage may, {self._result}")
        self._order = _sorted(self._stages)
        self.__name__ = "+".join(self._stages)

    def __call__(self, item: Any) -> Any:
        """The result of the last stage."""
        return self.run(item, {}, lambda stage: None, lambda stage, value: None)

    def run(
        self, item: Any, made: Mapping[str, Any], enter: Callable[[str], None], keep: Callable[[str, Any], None]
    ) -> Any:
        """Runs the stages that are not made yet."""
        values = {_ITEM: item, **made}
        for name in self._order:
            if name not in values:
                enter(name)
                values[name] = self._make(name, values)
                if name != self._order[-1]:
                    keep(name, values[name])
        return values[self._result]

    def _make(self, name: str, values: Mapping[str, Any]) -> Any:
        work, needs = self._stages[name]
        started = time.perf_counter()
        try:
            value = work(*(values[need] for need in needs))
            if inspect.isgenerator(value):
                value = list(value)
        except BaseException as error:
            error.add_note(f"in stage {name!r}")
            raise
        Metrics.counter("MultiWorker", name).inc()
        Metrics.distribution("MultiWorker", f"{name}_us").update(int((time.perf_counter() - started) * 1e6))
        return value


def _in_order(stages: tuple[Any, ...]) -> dict[str, Stage]:
    chain: dict[str, Stage] = {}
    before = _ITEM
    for work in stages:
        name = getattr(work, "__name__", None) or type(work).__name__
        if not callable(work):
            raise TypeError(f"MultiWorker: a stage is a function of one item, not {work!r}; for needs name the stages")
        if name in chain or name == _ITEM:
            raise ValueError(f"MultiWorker: the name {name!r} is taken; name the stages, MultiWorker(a=..., b=...)")
        chain[name] = (work, (before,))
        before = name
    return chain


def _by_name(named: Mapping[str, Any]) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name, given in named.items():
        work, *needs = given if isinstance(given, tuple) and given else (given,)
        if name == _ITEM:
            raise ValueError('MultiWorker: no stage can be called "item", which is what comes in')
        if not callable(work):
            raise TypeError(f'MultiWorker({name}={given!r}): write a function, or (function, "what it needs", ...)')
        for need in needs:
            if need != _ITEM and need not in named:
                known = ", ".join((_ITEM, *named))
                raise ValueError(f"MultiWorker: {name} needs {need!r}, which is no stage; known are {known}")
        stages[name] = (work, tuple(needs) or (_ITEM,))
    return stages


def _sorted(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    try:
        return tuple(TopologicalSorter({name: needs for name, (_, needs) in stages.items()}).static_order())
    except CycleError as error:
        raise ValueError(f"MultiWorker: stages need each other in a circle: {' -> '.join(error.args[1])}") from error
