"""Positions for the steps of a flow, left to right in layers, and lines for its edges: a small Sugiyama layout."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

from .flow import CONTROL, DEAD, Edge, Flow

__all__ = ["Box", "Label", "Layout", "Line"]

_WIDTH, _HEIGHT, _BEND_HEIGHT = 168, 46, 12
_GAP_X, _GAP_Y, _MARGIN = 92, 26, 14
_LABEL_HEIGHT, _LABEL_RISE = 13, 5
_SWEEPS = 6


class _Bend(NamedTuple):
    """The place where edges to a step pass through a layer. Edges of one kind are drawn as one line there."""

    target: str
    kind: str
    layer: int


_Item = str | _Bend
_Link = tuple[_Item, _Item]
_Drawn = tuple[Edge, list[_Item]]
_Places = dict[_Item, tuple[int, float]]


class Box(NamedTuple):
    """A step."""

    label: str
    transform: str
    receives_failures: bool
    x: int
    y: float
    width: int = _WIDTH
    height: int = _HEIGHT


class Line(NamedTuple):
    """A part of one or several edges, from one layer to the next."""

    path: str
    """The commands of an SVG path."""
    kind: str
    """The edges' kind, or "none" if a run had no dead letters on them."""
    ends: bool
    """Whether it ends at a step."""


class Label(NamedTuple):
    """The name and the number of elements of an edge."""

    text: str
    kind: str
    x: float
    y: float


class Layout(NamedTuple):
    """All parts of the picture, and its size."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    width: int
    height: float

    @staticmethod
    def of(flow: Flow) -> "Layout":
        """The layout of a flow.

        >>> from .flow import Edge, Node
        >>> layout = Layout.of(Flow((Node("a", ""), Node("b", "")), (Edge("a", "b", "", "data"),)))
        >>> [box.x for box in layout.boxes]
        [14, 274]
        """
        layers = _layers(flow)
        routes = [_route(edge, layers) for edge in flow.edges]
        failing = {edge.target for edge in flow.edges if edge.kind == DEAD}
        columns: list[dict[_Item, None]] = [{} for _ in range(max(layers.values(), default=-1) + 1)]
        for label in sorted(layers, key=failing.__contains__):  # Failures below.
            columns[layers[label]][label] = None
        for bend in (item for route in routes for item in route if isinstance(item, _Bend)):
            columns[bend.layer][bend] = None
        places = _places([list(column) for column in columns], {link for route in routes for link in pairwise(route)})
        boxes = []
        for label, transform in flow.nodes:
            x, middle = places[label]
            boxes.append(Box(label, transform, label in failing, x, middle - _HEIGHT / 2))
        drawn = list(zip(flow.edges, routes, strict=True))
        width = _left(len(columns)) - _GAP_X + _MARGIN
        height = max((y for _, y in places.values()), default=0) + _HEIGHT / 2 + _MARGIN
        return Layout(tuple(boxes), tuple(_lines(drawn, places)), tuple(_labels(drawn, places)), width, height)


def _left(layer: int) -> int:
    return _MARGIN + layer * (_WIDTH + _GAP_X)


def _layers(flow: Flow) -> dict[str, int]:
    """The layer of each step, to the right of all steps that lead to it."""
    layers = {node.label: 0 for node in flow.nodes}
    for _ in flow.nodes:
        for edge in flow.edges:
            layers[edge.target] = max(layers[edge.target], layers[edge.source] + 1)
    return layers


def _route(edge: Edge, layers: dict[str, int]) -> list[_Item]:
    passed = range(layers[edge.source] + 1, layers[edge.target])
    return [edge.source, *(_Bend(edge.target, edge.kind, layer) for layer in passed), edge.target]


def _places(columns: list[list[_Item]], links: set[_Link]) -> _Places:
    """The left edge and the vertical middle of each item: near the items that lead to it, below the item above it."""
    before = defaultdict[_Item, list[_Item]](list)
    for one, other in links:
        before[other].append(one)
    _untangle(columns, before, links)
    places: _Places = {}
    for layer, column in enumerate(columns):
        free = float(_MARGIN)
        for item in column:
            height = _BEND_HEIGHT if isinstance(item, _Bend) else _HEIGHT
            middle = max(free + height / 2, mean([places[other][1] for other in before[item]] or [0]))
            places[item] = _left(layer), middle
            free = middle + height / 2 + _GAP_Y
    return places


def _untangle(columns: list[list[_Item]], before: Mapping[_Item, list[_Item]], links: set[_Link]) -> None:
    """Sorts each layer by the mean position of its neighbours, forth and back, so that few lines cross."""
    after = defaultdict[_Item, list[_Item]](list)
    for one, other in links:
        after[one].append(other)
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for column in reversed(columns) if sweep % 2 else columns:
            ranks = {item: rank for other in columns for rank, item in enumerate(other)}
            means = {item: mean([ranks[other] for other in neighbours[item]] or [ranks[item]]) for item in column}
            column.sort(key=means.__getitem__)


def _lines(drawn: list[_Drawn], places: _Places) -> Iterator[Line]:
    """Each part of a route once. Parts without elements come first, so that the others are drawn over them."""
    kinds: dict[tuple[_Link, str], str] = {}
    for edge, route in sorted(drawn, key=lambda pair: not _is_empty(pair[0])):
        for link in pairwise(route):
            kinds[link, edge.kind] = "none" if _is_empty(edge) else edge.kind
    for ((one, other), _), kind in kinds.items():
        (x, y), (end_x, end_y) = places[one], places[other]
        x, bend = x + _WIDTH, _GAP_X / 2
        path = f"M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {end_x - bend:.0f} {end_y:.0f} {end_x:.0f} {end_y:.0f}"
        passes = isinstance(other, _Bend)
        yield Line(f"{path}h{_WIDTH}" if passes else path, kind, ends=not passes)


def _labels(drawn: list[_Drawn], places: _Places) -> Iterator[Label]:
    """A label next to the source of each edge; labels of the same line are stacked."""
    above = Counter[_Link]()
    for edge, route in drawn:
        if edge.kind == CONTROL or _is_empty(edge):
            continue
        number = "" if edge.elements is None else f"{edge.elements:,}"
        text = f"{edge.name}{':' if edge.name.isdigit() else ''} {number}".strip()
        if text:
            link = route[0], route[1]
            (x, y), (end_x, end_y) = places[link[0]], places[link[1]]
            rise = _LABEL_RISE + _LABEL_HEIGHT * above[link]
            yield Label(text, edge.kind, (x + _WIDTH + end_x) / 2, (y + end_y) / 2 - rise)
            above[link] += 1


def _is_empty(edge: Edge) -> bool:
    return edge.kind == DEAD and edge.elements == 0
