"""Runs one transform, or a few, on a few items and returns all results."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetter, DeadLetters
from beam_patterns.transforms.balance import Balance, counters_of
from beam_patterns.transforms.extend import GuardedPattern

from .collect import Collect

__all__ = ["Outputs", "Report", "run_pattern"]


class Outputs(Mapping[Any, list[Any]]):
    """A list per output: `["out"]` of a transform with one output, otherwise by the output's name or number."""

    def __init__(self, lists: Mapping[Any, list[Any]], dead: list[DeadLetter], balance: Balance, counters: Any) -> None:
        self._lists = dict(lists)
        self.dead = dead
        """The dead letters of failed elements."""
        self.balance = balance
        """The counters of each step."""
        self.counters: Counter[tuple[str, str]] = counters
        """All counters by class and name: counters["Filter", "dropped"]."""

    def __getitem__(self, name: Any) -> list[Any]:
        return self._lists[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)


def run_pattern(
    transform: beam.PTransform | Callable[[Any, ErrorHandler], Any],
    items: Any = None,
    make: Callable[[], beam.Pipeline] = lambda: beam.Pipeline("FnApiRunner"),
) -> Outputs:
    """Runs a transform on a few items and returns a list per output.

    >>> from beam_patterns.transforms import Splitter
    >>> run = run_pattern(Splitter(whole=lambda n: 6 % n == 0), [1, 2, 4, 0])
    >>> run["whole"], run["otherwise"], [letter.error_type for letter in run.dead]
    ([1, 2], [4], ['ZeroDivisionError'])
    >>> run.counters["Splitter", "in"]
    4

    Args:
        transform: a pattern or any other transform; a pattern without an error handler gets one. Or a function of the
            input and an error handler that applies several transforms and returns their outputs.
        items: a list for one input; a tuple or a dict of lists for several, for Merger, Join and the like. Instead of a
            list there may be a source: a transform, such as ReadFromQueue or TestStream. None if the transform itself
            is a source, which then has the pipeline as its input.
        make: a function that makes the pipeline; the workers of its runner must be in this process.
    """
    p = make()
    collected, collect_dead = dict[Any, Collect](), Collect()
    with ErrorHandler("Dead" >> (DeadLetters() | "CollectDead" >> collect_dead)) as dead:
        _ = p | "NoError" >> beam.Create([], reshuffle=False) | "Handled" >> Report(dead)
        if isinstance(transform, GuardedPattern) and transform._handler is None:
            transform = transform.with_error_handler(dead)
        inputs = _inputs(p, items)
        outputs = inputs | transform if isinstance(transform, beam.PTransform) else transform(inputs, dead)
        for name, output in _named(outputs).items():
            collected[name] = Collect()
            _ = output | f"Collect {name}" >> collected[name]
    result = p.run()
    result.wait_until_finish()
    counters = Counter[tuple[str, str]]()
    for (_, owner, name), number in counters_of(result, p).items():
        counters[owner, name] += number
    lists = {name: collect.elements for name, collect in collected.items()}
    return Outputs(lists, collect_dead.elements, Balance.of(result, p), counters)


def _inputs(p: beam.Pipeline, items: Any) -> Any:
    if items is None:
        return p
    if isinstance(items, dict):
        return {name: _input(p, part, f"Items {name}") for name, part in items.items()}
    if isinstance(items, tuple):
        parts = [_input(p, part, f"Items {i}") for i, part in enumerate(items)]
        return getattr(items, "_make", tuple)(parts)
    return _input(p, items, "Items")


def _input(p: beam.Pipeline, items: Any, label: str) -> PCollection:
    return p | label >> (items if isinstance(items, beam.PTransform) else beam.Create(list(items), reshuffle=False))


def _named(outputs: Any) -> dict[Any, PCollection]:
    if isinstance(outputs, PCollection):
        return {"out": outputs}
    if hasattr(outputs, "_fields"):
        return outputs._asdict()
    return dict(outputs) if isinstance(outputs, dict) else dict(enumerate(outputs))


class Report(beam.PTransform):
    """Passes a PCollection to an error handler, which needs at least one, and which not every transform uses."""

    def __init__(self, handler: ErrorHandler) -> None:
        super().__init__()
        self._handler = handler

    def expand(self, errors: PCollection) -> PCollection:
        self._handler.add_error_pcollection(errors)
        return errors
