"""A flow as text and as Mermaid, for terminals and documents."""

from collections.abc import Iterator

from .flow import CONTROL, DEAD, Edge, Flow

__all__ = ["mermaid", "text"]

_ARROW = {DEAD: "--dead-->", CONTROL: "..written..>"}
_LINK = {DEAD: "-. dead .->", CONTROL: "-.->"}


def text(flow: Flow) -> str:
    """A tree from each source; a step that was shown before is not taken apart again.

    >>> from .flow import Node
    >>> flow = Flow((Node("Read", "R"), Node("Keep", "Filter")), (Edge("Read", "Keep", "", "data"),))
    >>> print(text(flow))
    Read
    └── --> Keep (Filter)
    """
    reached = {edge.target for edge in flow.edges}
    shown: set[str] = set()
    lines: list[str] = []
    for node in flow.nodes:
        if node.label not in reached:
            lines.append(_named(flow, node.label))
            shown.add(node.label)
            lines += _below(flow, node.label, shown, "")
    return "\n".join(lines)


def _below(flow: Flow, label: str, shown: set[str], indent: str) -> Iterator[str]:
    edges = list(dict.fromkeys(e._replace(count=None) for e in flow.edges if e.source == label))
    for i, edge in enumerate(edges):
        last = i == len(edges) - 1
        arrow = _ARROW.get(edge.kind, f"--{edge.name}-->" if edge.name else "-->")
        again = edge.target in shown
        line = f"{indent}{'└' if last else '├'}── {arrow} "
        yield line + (f"{edge.target} (above)" if again else _named(flow, edge.target))
        if not again:
            shown.add(edge.target)
            yield from _below(flow, edge.target, shown, indent + ("    " if last else "│   "))


def _named(flow: Flow, label: str) -> str:
    kind = next(node.kind for node in flow.nodes if node.label == label)
    return label if kind[:1] == label[:1] and label.startswith(kind[:4]) else f"{label} ({kind})"


def mermaid(flow: Flow) -> str:
    """A flowchart, as GitHub and GitLab draw it in documents."""
    names = {node.label: f"s{i}" for i, node in enumerate(flow.nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {names[node.label]}["{_quoted(node.label)}<br/>{_quoted(node.kind)}"]' for node in flow.nodes]
    lines += [f"    {names[e.source]} {_link(e)} {names[e.target]}" for e in flow.edges]
    return "\n".join(dict.fromkeys(lines))


def _link(edge: Edge) -> str:
    return _LINK.get(edge.kind, f'-->|"{_quoted(edge.name)}"|' if edge.name else "-->")


def _quoted(label: str) -> str:
    return label.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
