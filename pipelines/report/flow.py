"""The flow of a pipeline as a graph of its steps, with the number of elements on each edge."""

from collections.abc import Iterator, Mapping
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

#: Kinds of edges: elements, dead letters, and signals that something was written.
DATA, DEAD, CONTROL = "data", "dead", "control"


class Node(NamedTuple):
    """A step: a pattern, or a transform that contains no pattern."""

    label: str
    transform: str
    """The name of its class."""


class Edge(NamedTuple):
    """A PCollection between two steps."""

    source: str
    target: str
    name: str
    """The output's name if the source has several outputs."""
    kind: str
    elements: int | None = None
    """The number of elements, if known."""


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
        """The steps of a pipeline; with the `counts_of` its run on the edges."""
        graph = _Graph(pipeline)
        ids = pipeline.to_runner_api(return_context=True)[1].pcollections if counts else None
        edges = [
            edge._replace(elements=counts.get(ids.get_id(pcollection))) if counts and ids else edge
            for edge, pcollection in graph.edges()
        ]
        return Flow(tuple(graph.nodes()), tuple(dict.fromkeys(edges)))


def counts_of(result: Any) -> dict[str, int]:
    """The number of elements of each PCollection of a finished run, by its id; empty if the runner reports none."""
    if hasattr(result, "monitoring_infos"):
        return element_counts(result.monitoring_infos())
    service = getattr(result, "_job_service", None)  # A portable runner's result has no public method for this.
    if service is None:
        return {}
    request = beam_job_api_pb2.GetJobMetricsRequest(job_id=result._job_id)
    return element_counts(service.GetJobMetrics(request).metrics.committed)


class _Graph(PipelineVisitor):
    """The primitive transforms of a pipeline, and the steps that they belong to."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        self._leaves: list[AppliedPTransform] = []
        self._wrappers = set[AppliedPTransform]()
        """Composites that contain a pattern and are not part of one: their parts are the steps."""
        pipeline.visit(self)
        self._makers = {made: (leaf, tag) for leaf in self._leaves for tag, made in leaf.outputs.items()}

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, Pattern):
            around = list(_ancestors(transform_node))
            if not any(isinstance(node.transform, Pattern) for node in around):
                self._wrappers.update(around)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self._leaves.append(transform_node)

    def nodes(self) -> Iterator[Node]:
        """The steps in the order of the pipeline."""
        for step in dict.fromkeys(map(self._step_of, self._leaves)):
            if not _is_flatten(step):
                yield Node(step.full_label, type(step.transform).__name__)

    def edges(self) -> Iterator[tuple[Edge, PCollection]]:
        """The edges between the steps, each with its PCollection."""
        for leaf in self._leaves:
            target = self._step_of(leaf)
            if _is_flatten(target):
                continue
            for pcollection in (*leaf.inputs, *(side.pvalue for side in leaf.side_inputs)):
                for source, tag, made in self._origins(pcollection):
                    if source is not target:
                        yield _edge(source, target, tag, made), made

    def _step_of(self, leaf: AppliedPTransform) -> AppliedPTransform:
        """The outermost composite that is a pattern or contains none."""
        return next((node for node in [*_ancestors(leaf)][::-1] if node not in self._wrappers), leaf)

    def _origins(self, pcollection: PCollection) -> Iterator[tuple[AppliedPTransform, str | int | None, PCollection]]:
        """The steps that made the elements, each with its output. Edges pass through a bare Flatten."""
        if pcollection not in self._makers:
            return
        leaf, tag = self._makers[pcollection]
        step = self._step_of(leaf)
        if not _is_flatten(step):
            yield step, tag, pcollection
            return
        for flattened in leaf.inputs:
            yield from self._origins(flattened)


def _ancestors(node: AppliedPTransform) -> Iterator[AppliedPTransform]:
    """The composites around a transform, the innermost first, without the pipeline itself."""
    parent = node.parent
    while parent is not None and parent.full_label:
        yield parent
        parent = parent.parent


def _is_flatten(step: AppliedPTransform) -> bool:
    return type(step.transform).__name__ == "Flatten"


def _edge(
    source: AppliedPTransform, target: AppliedPTransform, tag: str | int | None, pcollection: PCollection
) -> Edge:
    if tag == DEAD_TAG or isinstance(source.transform, DeadLetters) or isinstance(target.transform, DeadLetters):
        return Edge(source.full_label, target.full_label, "", DEAD)
    if pcollection.element_type in (Written, Position):
        return Edge(source.full_label, target.full_label, "", CONTROL)
    names = {output: name for name, output in source.outputs.items() if name != DEAD_TAG}
    name = str(names.get(pcollection) or "") if len(names) > 1 else ""
    return Edge(source.full_label, target.full_label, name, DATA)
