"""A flow as SVG."""

from collections import Counter
from html import escape

from .flow import CONTROL, DEAD, Edge, Flow
from .layout import Box, Layout, Way

__all__ = ["svg"]

_LETTERS, _SMALLEST = 22, 0.75


def svg(flow: Flow) -> str:
    """The drawing; its colours are classes of the page's style sheet."""
    layout = Layout.of(flow)
    kinds = {node.label: node.kind for node in flow.nodes}
    failing = {edge.target for edge in flow.edges if edge.kind == DEAD}
    beside = Counter[tuple[str, str]]()
    ways = []
    for way in layout.ways:
        edge = flow.edges[way.edge]
        ways.append(_way(way, edge, beside[edge[:2]]))
        beside[edge[:2]] += 1
    boxes = [_box(box, kinds[box.label], box.label in failing) for box in layout.boxes]
    # A flow a little too wide is made smaller; one that would not be legible then is scrolled.
    style = f"width:100%;max-width:{layout.width:.0f}px;min-width:{layout.width * _SMALLEST:.0f}px;height:auto"
    size = f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" style="{style}"'
    return (
        f'<svg role="img" aria-label="The flow, from left to right" {size}>\n<defs>{_ARROWS}</defs>\n'
        + "\n".join([*ways, *boxes])
        + "\n</svg>"
    )


_ARROWS = "".join(
    f'<marker id="to-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" class="head {kind}"/></marker>'
    for kind in ("data", "dead", "control", "none")
)


def _way(way: Way, edge: Edge, above: int) -> str:
    """The line and its number, above those of other lines between the same steps."""
    kind = "none" if edge.kind == DEAD and edge.count == 0 else edge.kind
    (x, y), *others = way.points
    path = f"M{x:.0f} {y:.0f}"
    for nx, ny in others:
        bend = (nx - x) / 2
        path += f"C{x + bend:.0f} {y:.0f} {nx - bend:.0f} {ny:.0f} {nx:.0f} {ny:.0f}"
        x, y = nx, ny
    line = f'<path d="{path}" class="way {kind}" marker-end="url(#to-{kind})"/>'
    text = _text(edge)
    if not text or kind == "none":
        return line
    (x, y), (nx, ny) = way.points[-2:]
    place = f'x="{(x + nx) / 2:.0f}" y="{(y + ny) / 2 - 5 - 13 * above:.0f}"'
    return f'{line}<text {place} class="count {kind}">{escape(text)}</text>'


def _text(edge: Edge) -> str:
    """The branch's name and the number of elements; what only says that something was written is not counted."""
    if edge.kind == CONTROL:
        return ""
    number = "" if edge.count is None else f"{edge.count:,}"
    return f"{edge.name}{':' if edge.name.isdigit() else ''} {number}".strip()


def _box(box: Box, kind: str, failing: bool) -> str:
    middle = box.x + box.width / 2
    return (
        f'<g class="step{" failing" if failing else ""}"><title>{escape(box.label)}</title>'
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="8"/>'
        f'<text x="{middle:.0f}" y="{box.y + 20:.0f}">{escape(_short(box.label))}</text>'
        f'<text x="{middle:.0f}" y="{box.y + 36:.0f}" class="kind">{escape(_short(kind))}</text></g>'
    )


def _short(label: str) -> str:
    return label if len(label) <= _LETTERS else "…" + label[1 - _LETTERS :]
