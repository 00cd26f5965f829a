"""Charts as SVG that takes its colours from the page, light or dark."""

import datetime
import io
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["bars", "columns", "lines"]

#: Colours that no chart has: the page's style sheet replaces them.
_STAND_INS = {"#010101": "var(--ink)", "#020202": "var(--grid)"}
_INK, _GRID = _STAND_INS
_SERIES = ("#03030%x", "var(--series-%d)")
_MOST = 6


def lines(title: str, days: Sequence[datetime.date], series: dict[str, Sequence[float]]) -> str:
    """A line per name over time."""
    figure, axes = _figure(3.4)
    for number, (name, values) in enumerate(series.items()):
        axes.plot(days, values, label=name, color=_color(number), linewidth=1.6)
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.16))
    return _svg(figure, axes, title, dates=True)


def columns(title: str, days: Sequence[datetime.date], values: Sequence[float]) -> str:
    """A column per period."""
    figure, axes = _figure(2.8)
    axes.bar(days, values, width=5, color=_color(0))
    return _svg(figure, axes, title, dates=True)


def bars(title: str, names: Sequence[str], values: Sequence[float]) -> str:
    """A bar per name, the first on top."""
    figure, axes = _figure(0.8 + 0.28 * len(names))
    axes.barh(list(names)[::-1], list(values)[::-1], color=_color(0), height=0.7)
    return _svg(figure, axes, title, dates=False)


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure  # Without pyplot: no window, no global state.

    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.add_subplot()


def _color(number: int) -> str:
    return _SERIES[0] % (number % _MOST)


def _svg(figure: Any, axes: Any, title: str, *, dates: bool) -> str:
    from matplotlib import rc_context
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_INK, length=0, labelsize=8)
    axes.grid(axis="y" if dates else "x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    money = axes.yaxis if dates else axes.xaxis
    money.set_major_formatter(FuncFormatter(_short))
    if dates:
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    text = io.StringIO()
    # Text stays text, in the page's font; names of clips are derived from the title, so that charts do not mix them up.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _fitted(text.getvalue(), title)


def _fitted(svg: str, title: str) -> str:
    """For inside a page: no XML head, no size of its own, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg [^>]*?)\s(?:width|height)="[^"]*pt"', r"\1", svg)
    svg = re.sub(r'(<svg [^>]*?)\s(?:width|height)="[^"]*pt"', r"\1", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for stand_in, color in _STAND_INS.items():
        svg = svg.replace(stand_in, color)
    for number in range(_MOST):
        svg = svg.replace(_SERIES[0] % number, _SERIES[1] % number)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def _short(value: float, unused_position: int) -> str:
    """
    >>> _short(1_250_000, 0), _short(-20_000, 0), _short(40, 0)
    ('1.25M', '-20k', '40')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:g}"
