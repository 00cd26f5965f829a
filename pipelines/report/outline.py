"""A flow as text and as Mermaid, for terminals and documents."""

from collections.abc import Iterator

from .flow import CONTROL, DEAD, Edge, Flow

__all__ = ["mermaid", "text"]

_ARROWS = {DEAD: "--dead-->", CONTROL: "..written..>"}
_LINKS = {DEAD: "-. dead .->", CONTROL: "-.->"}


def text(flow: Flow) -> str:
    """A tree from each source; the branches of a step are shown once.

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
            shown.add(node.label)
            lines += [_named(flow, node.label), *_branches(flow, node.label, shown, "")]
    return "\n".join(lines)


def _branches(flow: Flow, label: str, shown: set[str], indent: str) -> Iterator[str]:
    edges = list(dict.fromkeys(edge._replace(elements=None) for edge in flow.edges if edge.source == label))
    for edge in edges:
        is_last = edge is edges[-1]
        arrow = _ARROWS.get(edge.kind, f"--{edge.name}-->" if edge.name else "-->")
        line = f"{indent}{'└' if is_last else '├'}── {arrow} "
        if edge.target in shown:
            yield f"{line}{edge.target} (above)"
            continue
        yield line + _named(flow, edge.target)
        shown.add(edge.target)
        yield from _branches(flow, edge.target, shown, indent + ("    " if is_last else "│   "))


def _named(flow: Flow, label: str) -> str:
    """The label, with the transform if the label doesn't begin like its name."""
    transform = next(node.transform for node in flow.nodes if node.label == label)
    return label if transform[:1] == label[:1] and label.startswith(transform[:4]) else f"{label} ({transform})"


def mermaid(flow: Flow) -> str:
    """A Mermaid flowchart, as GitHub and GitLab draw it in documents."""
    names = {node.label: f"s{number}" for number, node in enumerate(flow.nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {names[node.label]}["{_quoted(node.label)}<br/>{_quoted(node.transform)}"]' for node in flow.nodes]
    lines += [f"    {names[edge.source]} {_link(edge)} {names[edge.target]}" for edge in flow.edges]
    return "\n".join(dict.fromkeys(lines))


def _link(edge: Edge) -> str:
    return _LINKS.get(edge.kind, f'-->|"{_quoted(edge.name)}"|' if edge.name else "-->")


def _quoted(label: str) -> str:
    return label.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
