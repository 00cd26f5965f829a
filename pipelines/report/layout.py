"""Places for the steps of a flow, left to right in layers, and ways for its edges: Sugiyama's method, kept small."""

from collections import defaultdict
from typing import NamedTuple

from .flow import DEAD, Flow

__all__ = ["Box", "Layout", "Way"]

_WIDTH, _HEIGHT, _BEND = 168, 46, 12
_GAP_X, _GAP_Y, _MARGIN = 92, 26, 14
_SWEEPS = 6
#: A step, or (edge, layer) where an edge passes a layer.
_Item = str | tuple[int, int]


class Box(NamedTuple):
    """Where a step is drawn."""

    label: str
    x: float
    y: float
    width: float = _WIDTH
    height: float = _HEIGHT


class Way(NamedTuple):
    """The points through which an edge is drawn; the index is that of the flow's edge."""

    edge: int
    points: tuple[tuple[float, float], ...]


class Layout(NamedTuple):
    """Everything with its place."""

    boxes: tuple[Box, ...]
    ways: tuple[Way, ...]
    width: float
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
        columns, links = _columns(flow, layers)
        _untangle(columns, links)
        middles = _middles(columns, links)
        boxes = {
            node.label: Box(node.label, _left(layers[node.label]), middles[node.label] - _HEIGHT / 2)
            for node in flow.nodes
        }
        ways = tuple(Way(i, _points(i, edge.source, edge.target, layers, middles)) for i, edge in enumerate(flow.edges))
        bottom = max((y for _, y in middles.items()), default=0) + _HEIGHT / 2 + _MARGIN
        return Layout(tuple(boxes.values()), ways, _left(len(columns)) - _GAP_X + _MARGIN, bottom)


def _left(layer: int) -> int:
    return _MARGIN + layer * (_WIDTH + _GAP_X)


def _layers(flow: Flow) -> dict[str, int]:
    """Each step behind all that lead to it."""
    layers = {node.label: 0 for node in flow.nodes}
    for _ in flow.nodes:
        moved = False
        for edge in flow.edges:
            if layers[edge.target] <= layers[edge.source]:
                layers[edge.target] = layers[edge.source] + 1
                moved = True
        if not moved:
            break
    return layers


def _columns(flow: Flow, layers: dict[str, int]) -> tuple[list[list[_Item]], list[tuple[_Item, _Item]]]:
    """What stands in each layer, failures below, and what is linked across one gap."""
    columns: list[list[_Item]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    failing = {edge.target for edge in flow.edges if edge.kind == DEAD}
    for node in sorted(flow.nodes, key=lambda node: node.label in failing):
        columns[layers[node.label]].append(node.label)
    links: list[tuple[_Item, _Item]] = []
    for i, edge in enumerate(flow.edges):
        before: _Item = edge.source
        for layer in range(layers[edge.source] + 1, layers[edge.target]):
            columns[layer].append((i, layer))
            links.append((before, (i, layer)))
            before = (i, layer)
        links.append((before, edge.target))
    return columns, links


def _untangle(columns: list[list[_Item]], links: list[tuple[_Item, _Item]]) -> None:
    """Sorts each layer by where its neighbours stand, forth and back, so that few lines cross."""
    before, after = defaultdict[_Item, list[_Item]](list), defaultdict[_Item, list[_Item]](list)
    for one, other in links:
        before[other].append(one)
        after[one].append(other)
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for column in reversed(columns) if sweep % 2 else columns:
            places = {item: i for other in columns for i, item in enumerate(other)}
            middle = {
                item: sum(places[n] for n in neighbours[item]) / len(neighbours[item])
                if neighbours[item]
                else places[item]
                for item in column
            }
            column.sort(key=lambda item, middle=middle: middle[item])  # type: ignore[misc]


def _middles(columns: list[list[_Item]], links: list[tuple[_Item, _Item]]) -> dict[_Item, float]:
    """The vertical middle of each item: near what leads to it, below what stands above it."""
    before = defaultdict[_Item, list[_Item]](list)
    for one, other in links:
        before[other].append(one)
    middles: dict[_Item, float] = {}
    for column in columns:
        free = float(_MARGIN)
        for item in column:
            height = _BEND if isinstance(item, tuple) else _HEIGHT
            wished = [middles[n] for n in before[item]]
            middle = max(free + height / 2, sum(wished) / len(wished) if wished else 0)
            middles[item] = middle
            free = middle + height / 2 + _GAP_Y
    return middles


def _points(
    edge: int, source: str, target: str, layers: dict[str, int], middles: dict[_Item, float]
) -> tuple[tuple[float, float], ...]:
    points: list[tuple[float, float]] = [(_left(layers[source]) + _WIDTH, middles[source])]
    for layer in range(layers[source] + 1, layers[target]):
        points += [(_left(layer), middles[edge, layer]), (_left(layer) + _WIDTH, middles[edge, layer])]
    return (*points, (_left(layers[target]), middles[target]))
