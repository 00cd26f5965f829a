"""The balance of a run: at every step, what went in came out, was dropped, lies dead, or had been there before."""

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from .base.metrics import PROGRESS, READ, TIMES, TO_READ, quantile
from .base.pattern import Pattern as _Pattern
from .base.run_counters import Key, counters_in, counters_of, element_counts, interim_of

__all__ = [
    "PROGRESS",
    "READ",
    "TIMES",
    "TO_READ",
    "Balance",
    "Key",
    "Step",
    "counters_in",
    "counters_of",
    "element_counts",
    "interim_of",
    "quantile",
]

_LEFT = ("out", "dropped", "dead", "duplicates")
#: Namespaces of counters that do not count what became of a step's elements.
_OTHER = (TIMES, PROGRESS)


class Step(NamedTuple):
    """One step's counters. `came` is None for a source."""

    label: str
    pattern: str
    came: int | None = None
    out: int = 0
    dropped: int = 0
    dead: int = 0
    duplicates: int = 0
    branches: tuple[tuple[str, int], ...] = ()
    interim: bool = False
    """The runner told no final counters; these are from some moment before the end."""

    @property
    def missing(self) -> int:
        """How many went in and are nowhere; negative if more came out than went in; 0 if the balance closes."""
        if self.came is None or self.interim:
            return 0
        return self.came - self.out - self.dropped - self.dead - self.duplicates

    @staticmethod
    def of(label: str, pattern: str, counters: Mapping[str, int], interim: bool = False) -> "Step":
        """The counters of a pattern by name."""
        branches = tuple((name, count) for name, count in counters.items() if name not in ("in", *_LEFT))
        left = {name: counters.get(name, 0) for name in _LEFT}
        return Step(label, pattern, counters.get("in"), branches=branches, interim=interim, **left)


class Balance(NamedTuple):
    """All steps of a run, in the order of the flow.

    >>> balance = Balance((Step("Filter", "Filter", came=10, out=6, dropped=3),))
    >>> balance.closes
    False
    >>> print("; ".join(balance.complaints()))
    Filter: 1 of 10 that went in are missing (6 out, 3 dropped, 0 dead, 0 duplicates)
    """

    steps: tuple[Step, ...]

    @staticmethod
    def of(result: Any, pipeline: beam.Pipeline | None = None) -> "Balance":
        """From a finished run's committed counters; with the pipeline, steps that had nothing to do are there too."""
        return Balance.of_counters(counters_of(result, pipeline), pipeline, interim_of(result, pipeline))

    @staticmethod
    def of_counters(
        counters: Mapping[Key, int], pipeline: beam.Pipeline | None, interim: Set[Key] = frozenset()
    ) -> "Balance":
        """From counters by step, namespace and name; of a run that goes on, the balance so far."""
        patterns = _patterns(pipeline) if pipeline else {}
        counted: dict[tuple[str, str], dict[str, int]] = {}
        unsure = set[tuple[str, str]]()
        for (step, pattern, name), number in counters.items():
            label = None if pattern in _OTHER else _owner(step, pattern, patterns)
            if label is not None:
                of_step = counted.setdefault((label, pattern), {})
                of_step[name] = of_step.get(name, 0) + number
                if (step, pattern, name) in interim:
                    unsure.add((label, pattern))
        shown = [key for key, is_pattern in patterns.items() if is_pattern or key in counted]
        return Balance(tuple(Step.of(*key, counted.get(key, {}), key in unsure) for key in (shown or counted)))

    @property
    def closes(self) -> bool:
        """Whether nothing is missing anywhere."""
        return not any(step.missing for step in self.steps)

    def complaints(self) -> Iterator[str]:
        """A sentence for each step whose balance does not close."""
        for step in self.steps:
            left = ", ".join(f"{getattr(step, name):,} {name}" for name in _LEFT)
            if step.missing > 0:
                yield f"{step.label}: {step.missing:,} of {step.came:,} that went in are missing ({left})"
            elif step.missing < 0:
                yield f"{step.label}: {-step.missing:,} more came out than the {step.came:,} that went in ({left})"


class _Composites(PipelineVisitor):
    """All transforms of a pipeline by label and class name; True for those that are patterns."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], bool] = {}

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self._note(transform_node)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self._note(transform_node)

    def _note(self, node: AppliedPTransform) -> None:
        if node.transform is not None:
            self.found[node.full_label, type(node.transform).__name__] = isinstance(node.transform, _Pattern)


def _patterns(pipeline: beam.Pipeline) -> dict[tuple[str, str], bool]:
    visitor = _Composites()
    pipeline.visit(visitor)
    return visitor.found


def _owner(step: str, pattern: str, known: Mapping[tuple[str, str], bool]) -> str | None:
    """The label of the pattern whose inner step has counted; None for counters that are no pattern's."""
    label = step
    while known and (label, pattern) not in known:
        label, inner, _ = label.rpartition("/")
        if not inner:
            return None
    return label if known else step.partition("/")[0]
