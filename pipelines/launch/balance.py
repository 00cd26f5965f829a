"""The balance of a run: at every step, what went in came out, was dropped, lies dead, or had been there before."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import PipelineResult

from beam_patterns.transforms.core.routing import Pattern

from .counts import Key, summed

__all__ = ["Balance", "Step", "counters_of"]

_LEFT = ("out", "dropped", "dead", "duplicates")


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

    @property
    def missing(self) -> int:
        """How many went in and are nowhere; negative if more came out than went in; 0 if the balance closes."""
        return 0 if self.came is None else self.came - self.out - self.dropped - self.dead - self.duplicates

    @staticmethod
    def of(label: str, pattern: str, counters: Mapping[str, int]) -> "Step":
        """The counters of a pattern by name."""
        branches = tuple((name, count) for name, count in counters.items() if name not in ("in", *_LEFT))
        left = {name: counters.get(name, 0) for name in _LEFT}
        return Step(label, pattern, counters.get("in"), branches=branches, **left)


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
        return Balance.of_counters(counters_of(result, pipeline), pipeline)

    @staticmethod
    def of_counters(counters: Mapping[tuple[str, str, str], int], pipeline: beam.Pipeline | None) -> "Balance":
        """From counters by step, namespace and name; of a run that goes on, the balance so far."""
        patterns = _patterns(pipeline) if pipeline else {}
        counted: dict[tuple[str, str], dict[str, int]] = {}
        for (step, pattern, name), number in counters.items():
            label = _owner(step, pattern, patterns)
            if label is not None:
                of_step = counted.setdefault((label, pattern), {})
                of_step[name] = of_step.get(name, 0) + number
        shown = [key for key, is_pattern in patterns.items() if is_pattern or key in counted]
        return Balance(tuple(Step.of(*key, counted.get(key, {})) for key in (shown or counted)))

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


def counters_of(result: Any, pipeline: beam.Pipeline | None = None) -> Counter[Key]:
    """All counters of a run by step, namespace and name.

    Portable runners report a step by an id, for which the pipeline knows the label.
    """
    steps = pipeline.to_runner_api().components.transforms if pipeline else {}
    if isinstance(result, PipelineResult):
        return _of_job_server(result, steps)
    counted: Counter[Key] = Counter()
    for metric in result.metrics().query()["counters"]:
        step = metric.key.step or ""
        label = steps[step].unique_name if step in steps else step
        counted[label, metric.key.metric.namespace, metric.key.metric.name] += metric.result or 0
    return counted


def _of_job_server(result: PipelineResult, steps: Any) -> Counter[Key]:
    """Not `result.metrics()`.

    That repeats its first answer when the run has gone on, and of a step that is part of several stages (Flink puts
    what follows a Flatten into the stage of each input) it keeps one stage's counters.
    """
    request = beam_job_api_pb2.GetJobMetricsRequest(job_id=result._job_id)
    metrics = result._job_service.GetJobMetrics(request).metrics
    return Counter({**summed(steps, metrics.attempted), **summed(steps, metrics.committed)})


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
            self.found[node.full_label, type(node.transform).__name__] = isinstance(node.transform, Pattern)


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
