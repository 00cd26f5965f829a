"""Runs one transform on a few items and returns all its outputs."""

import copy
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

__all__ = ["Outputs", "run_pattern"]


class Outputs(Mapping[Any, list[Any]]):
    """A list per output: `["out"]` of a transform with one, else by the output's name or number."""

    def __init__(self, lists: Mapping[Any, list[Any]], dead: list[DeadLetter], balance: Balance, counters: Any) -> None:
        self._lists = dict(lists)
        self.dead = dead
        """The dead letters."""
        self.balance = balance
        """The balance of every pattern: in, out, dropped, dead and duplicates."""
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
        transform: a pattern, or any transform. A pattern without an error handler gets one. Or a function of the input
            and an error handler that applies several transforms and returns their outputs.
        items: a list for one input; a tuple or dict of lists for several, as Merger and Join have. A source such as
            ReadFromQueue or TestStream can replace a list. None if the transform is a source, applied to the pipeline.
        make: creates the pipeline; its runner must work in this process.
    """
    p, handler = make(), _Errors(None)
    seen, dead = dict[Any, Collect](), Collect()
    if isinstance(transform, GuardedPattern) and transform._handler is None:
        transform = transform.with_error_handler(handler)
    inputs = _inputs(p, items)
    outputs = inputs | transform if isinstance(transform, beam.PTransform) else transform(inputs, handler)
    for name, output in _named(outputs).items():
        seen[name] = Collect()
        _ = output | f"Collect {name}" >> seen[name]
    if handler.reported:
        _ = tuple(handler.reported) | beam.Flatten() | DeadLetters() | "CollectDead" >> dead
    result = p.run()
    result.wait_until_finish()
    counters = Counter[tuple[str, str]]()
    for (_, owner, name), number in counters_of(result, p).items():
        counters[owner, name] += number
    lists = {name: collect.elements for name, collect in seen.items()}
    return Outputs(lists, dead.elements, Balance.of(result, p), counters)


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
    if not isinstance(items, beam.PTransform):
        return p | label >> beam.Create(list(items), reshuffle=False)
    return p | label >> copy.copy(items)  # Beam binds a labelled source to its first pipeline.


def _named(outputs: Any) -> dict[Any, PCollection]:
    if isinstance(outputs, PCollection):
        return {"out": outputs}
    if hasattr(outputs, "_fields"):
        return outputs._asdict()
    return dict(outputs) if isinstance(outputs, dict) else dict(enumerate(outputs))


class _Errors(ErrorHandler):
    """Collects what patterns report: unlike Beam's own, also nothing."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(consumer)
        self.reported = list[PCollection]()

    def add_error_pcollection(self, pcoll: PCollection) -> None:
        self.reported.append(pcoll)
