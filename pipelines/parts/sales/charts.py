"""Charts as SVG for a page, which chooses the colours: light or dark."""

import datetime
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from beam_patterns.pipelines.runtime.pages import visible

__all__ = ["Chart", "bars", "columns", "lines"]

#: Colours that no chart has, each replaced by a variable of the page's style sheet.
_INK, _GRID, _SERIES = "#010101", "#020202", [f"#03030{number}" for number in range(6)]
_VARIABLES = {_INK: "var(--ink)", _GRID: "var(--line)"} | {
    color: f"var(--series-{number})" for number, color in enumerate(_SERIES)
}
_MAX_LABEL = 30


class Chart(NamedTuple):
    """A chart with its title; `legend` names its series."""

    title: str
    svg: Markup
    legend: Sequence[str] = ()


def lines(title: str, days: Sequence[datetime.date], series: dict[str, Sequence[float]]) -> Chart:
    """A line per name over time, of six names at most."""
    figure, axes = _figure(3.1)
    for color, values in zip(_SERIES, series.values(), strict=False):
        axes.plot(days, values, color=color, linewidth=1.6, marker="" if len(days) > 1 else "o")
    axes.set_xlim(days[0] - datetime.timedelta(days=1), days[-1] + datetime.timedelta(days=1))
    return Chart(title, _svg(figure, axes, "lines", dates=True), list(series))


def columns(title: str, days: Sequence[datetime.date], values: Sequence[float]) -> Chart:
    """A column per period."""
    figure, axes = _figure(2.8)
    axes.bar(days, values, width=5, color=_SERIES[0])
    return Chart(title, _svg(figure, axes, "columns", dates=True))


def bars(title: str, names: Sequence[str], values: Sequence[float]) -> Chart:
    """A bar per name, the first on top."""
    figure, axes = _figure(0.8 + 0.28 * len(names))
    axes.barh(range(len(names)), values, color=_SERIES[0], height=0.7)
    axes.set_yticks(range(len(names)), map(_label, names))
    axes.invert_yaxis()
    return Chart(title, _svg(figure, axes, "bars", dates=False))


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure  # Without pyplot: no window, no global state.

    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.add_subplot()


def _label(name: str) -> str:
    r"""A name as matplotlib shows it: text between two $ would be a formula.

    >>> print(_label("tea for $1 or $2"), _label("x" * 40))
    tea for \$1 or \$2 xxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    """
    text = visible(name)
    return (text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…").replace("$", r"\$")


def _svg(figure: Any, axes: Any, name: str, *, dates: bool) -> Markup:
    from matplotlib import rc_context
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_INK, length=0, labelsize=8)
    axes.grid(axis="y" if dates else "x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    (axes.yaxis if dates else axes.xaxis).set_major_formatter(FuncFormatter(_short))
    if dates:
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    text = io.StringIO()
    # Text stays text, in the page's font, so a character that matplotlib's font lacks doesn't matter. The salt makes
    # the file the same each time.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(text.getvalue(), name)


def _for_page(svg: str, name: str) -> Markup:
    """The drawing without XML head, metadata and size; with the page's font and colours, and ids of its own."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*pt"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", body)
    body = re.sub(r'( id="|"#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"#0[123]0[123]0\d", lambda found: _VARIABLES[found[0]], body)
    return Markup(f'{head} role="img">{body}')  # noqa: S704 (matplotlib escapes names)


def _short(value: float, unused_position: int) -> str:
    """
    >>> _short(1_250_000, 0), _short(-20_000, 0), _short(40, 0)
    ('1.25M', '-20k', '40')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:g}"
