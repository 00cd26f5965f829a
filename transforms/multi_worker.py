"""The multi-worker pattern."""

import inspect
import time
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from apache_beam.metrics import Metrics

__all__ = ["MultiWorker"]

_ITEM = "item"
Stage = tuple[Callable[..., Any], tuple[str, ...]]


class MultiWorker:
    """Several workers that act as one.

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
    >>> MultiWorker(words=str.split, letters=len, text=("{} words, {} letters".format, "words", "letters"))("ab cd")
    "['ab', 'cd'] words, 5 letters"

    Stages in order: each one is called with the result of the stage before it. Stages by name: each one is a function
    of the item, or a tuple of a function and the names of its inputs, in the order of its arguments: other stages, or
    "item". Every stage runs once, after its inputs; the last one in the call returns the result.

    Pass it to a work queue: `WorkQueue(MultiWorker(...))`. A retry starts at the stage that failed, with the results of
    the others, even after a crash or a timeout; a stage whose result can't be pickled runs again. The timeout is for
    all stages together.

    Args:
        stages: functions of one item (or Commands, HttpWorkers), in order.
        named: the same by name, with their inputs.

    In: an item.
    Out: the result of the last stage; several results if that is a generator function.
    Failure: errors name the stage.
    Counters: one per stage, in the namespace MultiWorker, and the distribution NAME_us of each stage's time.
    Source: Burns, Designing Distributed Systems, chapter 10 (the multi-worker pattern).
    """

    def __init__(self, *stages: Callable[[Any], Any], **named: Any) -> None:
        if bool(stages) == bool(named):
            raise TypeError("MultiWorker takes at least one stage, and all stages either in order or by name")
        self._stages = _in_order(stages) if stages else _by_name(named)
        self._last = tuple(self._stages)[-1]
        self.last_stage = self._stages[self._last][0]
        """The function that returns the result."""
        for name, (work, _) in self._stages.items():
            if name != self._last and inspect.isgeneratorfunction(work):
                raise TypeError(f"MultiWorker: {name} yields several results; only the last stage, {self._last}, may")
        self._order = _sorted(self._stages)
        self.__name__ = "+".join(self._stages)

    def __call__(self, item: Any) -> Any:
        """The result of the last stage."""
        return self.run_stages(item, {}, lambda stage: None, lambda stage, result: None)

    def run_stages(
        self, item: Any, done: Mapping[str, Any], on_start: Callable[[str], None], on_result: Callable[[str, Any], None]
    ) -> Any:
        """Runs the stages whose results are not in `done`; returns the result of the last stage.

        For WorkQueue, whose retries do not repeat finished stages: `on_start` is called with a stage's name before it
        runs, `on_result` with its name and result.
        """
        results = {_ITEM: item, **done}
        for name in self._order:
            if name not in results:
                on_start(name)
                results[name] = self._run_stage(name, results)
                if name != self._order[-1]:
                    on_result(name, results[name])
        return results[self._last]

    def _run_stage(self, name: str, results: Mapping[str, Any]) -> Any:
        work, inputs = self._stages[name]
        started = time.perf_counter()
        try:
            result = work(*(results[each] for each in inputs))
            if inspect.isgenerator(result):
                result = list(result)
        except BaseException as error:
            error.add_note(f"in stage {name!r}")
            raise
        Metrics.counter("MultiWorker", name).inc()
        Metrics.distribution("MultiWorker", f"{name}_us").update(int((time.perf_counter() - started) * 1e6))
        return result


def _in_order(stages: tuple[Any, ...]) -> dict[str, Stage]:
    chain: dict[str, Stage] = {}
    before = _ITEM
    for work in stages:
        name = getattr(work, "__name__", None) or type(work).__name__
        if not callable(work):
            raise TypeError(f"MultiWorker: a stage is a function of one item, not {work!r}; name stages with inputs")
        if name in chain or name == _ITEM:
            raise ValueError(f"MultiWorker: the name {name!r} is taken; name the stages, MultiWorker(a=..., b=...)")
        chain[name] = (work, (before,))
        before = name
    return chain


def _by_name(named: Mapping[str, Any]) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name, given in named.items():
        work, *inputs = given if isinstance(given, tuple) and given else (given,)
        if name == _ITEM:
            raise ValueError('MultiWorker: a stage can\'t be named "item", which is the name of the input')
        if not callable(work):
            raise TypeError(f'MultiWorker({name}={given!r}): write a function, or (function, "name of an input", ...)')
        for each in inputs:
            if each != _ITEM and each not in named:
                known = ", ".join((_ITEM, *named))
                raise ValueError(f"MultiWorker: the input {each!r} of {name} is not a stage; known are {known}")
        stages[name] = (work, tuple(inputs) or (_ITEM,))
    return stages


def _sorted(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    try:
        return tuple(TopologicalSorter({name: inputs for name, (_, inputs) in stages.items()}).static_order())
    except CycleError as error:
        raise ValueError(
            f"MultiWorker: stages depend on each other in a cycle: {' -> '.join(error.args[1])}"
        ) from error
