"""The flow of a pipeline as people draw it: its steps, and what goes from one to another."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.pvalue import PCollection

from beam_patterns.transforms import DeadLetters
from beam_patterns.transforms.balance import element_counts
from beam_patterns.transforms.extend import DEAD as DEAD_TAG
from beam_patterns.transforms.extend import Pattern
from beam_patterns.transforms.queues import Position, Written

__all__ = ["CONTROL", "DATA", "DEAD", "Edge", "Flow", "Node", "counts_of"]

DATA, DEAD, CONTROL = "data", "dead", "control"


class Node(NamedTuple):
    """A step: a pattern, or a transform without patterns in it."""

    label: str
    kind: str


class Edge(NamedTuple):
    """What goes from one step to another."""

    source: str
    target: str
    name: str
    """The output's name, where a step has several."""
    kind: str
    """DATA, DEAD for what failed, CONTROL for what only says that something was written."""
    count: int | None = None


class Flow(NamedTuple):
    """A graph in the order in which it was built.

    >>> p = beam.Pipeline("FnApiRunner")
    >>> _ = p | beam.Create([1]) | "Double" >> beam.Map(lambda n: 2 * n)
    >>> [(edge.source, edge.target) for edge in Flow.of(p).edges]
    [('Create', 'Double')]
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @staticmethod
    def of(pipeline: beam.Pipeline, counts: Mapping[str, int] | None = None) -> "Flow":
        """The steps of a pipeline; with the counts of `counts_of` on its edges, if it has run."""
        steps = _Steps()
        pipeline.visit(steps)
        ids = pipeline.to_runner_api(return_context=True)[1].pcollections if counts else None

        def count(pcollection: PCollection) -> int | None:
            return counts.get(ids.get_id(pcollection)) if counts and ids else None

        edges = tuple(dict.fromkeys(_edges(steps, count)))
        # A bare Flatten is a place where lines meet, not a step.
        joints = {node.label for node in steps.nodes if node.kind == "Flatten"}
        nodes = tuple(node for node in steps.nodes if node.label not in joints)
        return Flow(nodes, tuple(dict.fromkeys(_without(joints, edges))))


def counts_of(result: Any) -> dict[str, int]:
    """The number of elements of each PCollection of a finished run, by its id; empty if the runner reports none."""
    return element_counts(_infos(result))


def _infos(result: Any) -> Any:
    if hasattr(result, "monitoring_infos"):
        return result.monitoring_infos()
    service, job = getattr(result, "_job_service", None), getattr(result, "_job_id", None)
    if service is None:
        return ()
    return service.GetJobMetrics(beam_job_api_pb2.GetJobMetricsRequest(job_id=job)).metrics.committed


class _Steps(PipelineVisitor):
    """The nodes, and which of them makes each PCollection."""

    def __init__(self) -> None:
        self._composites: list[AppliedPTransform] = []
        self._leaves: list[AppliedPTransform] = []

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self._composites.append(transform_node)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self._leaves.append(transform_node)

    @property
    def nodes(self) -> list[Node]:
        """In the order of the pipeline."""
        steps = {id(step): step for step in map(self.step_of, self._leaves)}
        return [Node(step.full_label, type(step.transform).__name__) for step in steps.values()]

    def leaves(self) -> Iterator[tuple[AppliedPTransform, AppliedPTransform]]:
        """The primitive transforms, each with the step it is part of."""
        return ((leaf, self.step_of(leaf)) for leaf in self._leaves)

    def step_of(self, leaf: AppliedPTransform) -> AppliedPTransform:
        """The outermost composite that is a pattern, or has none in it."""
        chain = [leaf]
        while chain[-1].parent is not None and chain[-1].parent.full_label:
            chain.append(chain[-1].parent)
        open_ones = self._with_patterns()
        return next((one for one in reversed(chain) if id(one) not in open_ones), leaf)

    def _with_patterns(self) -> set[int]:
        """Composites that are no pattern, but have one in them."""
        if not hasattr(self, "_open"):
            self._open: set[int] = set()
            for one in self._composites:
                if isinstance(one.transform, Pattern):
                    self._open.update(map(id, _ancestors(one)))
        return self._open


def _ancestors(step: AppliedPTransform) -> list[AppliedPTransform]:
    """Those around a step, up to the first pattern that it is part of."""
    found: list[AppliedPTransform] = []
    while (step := step.parent) is not None:
        if isinstance(step.transform, Pattern):
            return []
        found.append(step)
    return found


def _edges(steps: _Steps, count: Callable[[PCollection], int | None]) -> Iterator[Edge]:
    made_by = {}
    for leaf, step in steps.leaves():
        for tag, pcollection in leaf.outputs.items():
            made_by[pcollection] = (step, tag)
    for leaf, target in steps.leaves():
        inputs = [*leaf.inputs, *(side.pvalue for side in leaf.side_inputs)]
        for pcollection in inputs:
            source, tag = made_by.get(pcollection, (target, None))
            if source is not target:
                failed = isinstance(source.transform, DeadLetters) or isinstance(target.transform, DeadLetters)
                kind = DEAD if failed else _kind(pcollection, tag)
                name = _name(source, pcollection) if kind == DATA else ""
                yield Edge(source.full_label, target.full_label, name, kind, count(pcollection))


def _kind(pcollection: PCollection, tag: str | None) -> str:
    if tag == DEAD_TAG:
        return DEAD
    return CONTROL if pcollection.element_type in (Written, Position) else DATA


def _name(source: AppliedPTransform, pcollection: PCollection) -> str:
    named = {tag: output for tag, output in source.outputs.items() if tag != DEAD_TAG}
    if len(named) < 2:
        return ""
    return next((str(tag) for tag, output in named.items() if output is pcollection and tag is not None), "")


def _without(joints: set[str], edges: tuple[Edge, ...]) -> Iterator[Edge]:
    """Edges that lead on where others end at a joint."""
    for edge in edges:
        if edge.source in joints:
            continue
        if edge.target not in joints:
            yield edge
            continue
        onward = tuple(e._replace(source=edge.source) for e in edges if e.source == edge.target)
        for after in _without(joints, tuple(e for e in edges if e.source in joints) + onward):
            if after.source == edge.source:
                yield edge._replace(target=after.target, kind=DEAD if after.kind == DEAD else edge.kind)
