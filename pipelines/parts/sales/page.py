"""The report as one page that needs nothing else: charts, tables, what was left out."""

import datetime
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from . import charts
from .orders import Totals
from .periods import Pairs, by_field, percent

__all__ = ["Report", "render"]

_LINES = 6
_MINUS = "\N{MINUS SIGN}"


class Report(NamedTuple):
    """What the page tells."""

    daily: Pairs
    weekly: Pairs
    bad: Mapping[str, int]
    """Rows that were left out, by what is wrong with them."""
    zone: str
    week_starts: str
    currency: str
    top: int


def render(report: Report) -> str:
    """The page."""
    regions = by_field(report.daily, lambda key: key[1])
    products = by_field(report.daily, lambda key: key[2])
    weeks = dict(sorted(by_field(report.weekly, lambda key: key[0]).items()))
    everything = by_field(report.daily, lambda key: "all").get("all", Totals(0, 0, 0, 0, 0))
    parts = [
        _tiles(report, everything),
        *([_charts(report, regions, products, weeks)] if regions else ["<p>There are no orders in these files.</p>"]),
        _weeks(report, weeks),
        _table("Regions", report, _by_net(regions)),
        _table(f"Top {report.top} products", report, dict(list(_by_net(products).items())[: report.top])),
        _left_out(report),
    ]
    return _PAGE.format(title="Sales report", style=_STYLE, body="\n".join(parts))


def _tiles(report: Report, totals: Totals) -> str:
    days = sorted({key[0] for key, _ in report.daily})
    span = f"{days[0]} to {days[-1]}, days in {report.zone}, weeks from {report.week_starts}" if days else "no days"
    tiles = {
        "net": _money(totals.net, report),
        "sales": _money(totals.sales, report),
        "refunds": _money(totals.refunds, report),
        "orders": f"{totals.orders:,}",
        "rows left out": f"{sum(report.bad.values()):,}",
    }
    boxes = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles.items())
    return f"<h1>Sales report</h1><p>{escape(span)}</p><dl>{boxes}</dl>"


def _charts(
    report: Report, regions: Mapping[str, Totals], products: Mapping[str, Totals], weeks: Mapping[Any, Totals]
) -> str:
    daily = by_field(report.daily, lambda key: key[0], lambda key: key[1])
    first, last = min(day for day, _ in daily), max(day for day, _ in daily)
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]
    nothing = Totals(0, 0, 0, 0, 0)
    largest = list(_by_net(regions))[:_LINES]
    series = {region: [daily.get((day, region), nothing).net / 100 for day in days] for region in largest}
    best = list(_by_net(products).items())[: report.top]
    drawn = [
        charts.lines("Net sales per day by region", days, series),
        charts.columns("Net sales per week", list(weeks), [week.net / 100 for week in weeks.values()]),
        charts.bars("Top products by net sales", [name for name, _ in best], [of.net / 100 for _, of in best]),
    ]
    titles = ("Net sales per day, the largest regions", "Net sales per week", "Top products by net sales")
    return "".join(f"<figure><figcaption>{t}</figcaption>{svg}</figure>" for t, svg in zip(titles, drawn, strict=True))


def _weeks(report: Report, weeks: Mapping[datetime.date, Totals]) -> str:
    """A week that the orders cover in part is marked, and compared with none."""
    covered = {key[0] for key, _ in report.daily}
    first, last = min(covered, default=None), max(covered, default=None)
    rows, changes, before = {}, [], None
    for starts, of in weeks.items():
        ends = starts + datetime.timedelta(days=6)
        whole = first <= starts and ends <= last
        rows[starts if whole else f"{starts} (in part)"] = of
        changes.append(_change(of, before) if whole else "")
        before = of if whole else None
    return _table("Weeks", report, rows, changes)


def _table(title: str, report: Report, rows: Mapping[Any, Totals], changes: Sequence[str] = ()) -> str:
    heads = ["", "net", *(["change"] if changes else []), "sales", "refunds", "orders", "returns", "units"]
    lines = []
    for number, (name, of) in enumerate(rows.items()):
        numbers = [_money(of.net, report), *changes[number : number + 1]]
        numbers += [_money(of.sales, report), _money(of.refunds, report)]
        cells = [*numbers, f"{of.orders:,}", f"{of.returns:,}", f"{of.units:,}"]
        lines.append(_row(f"<th scope=row>{escape(str(name))}</th>", cells))
    head = "".join(f"<th>{head}</th>" for head in heads)
    return f"<h2>{title}</h2><div class=wide><table><thead><tr>{head}</tr></thead>{''.join(lines)}</table></div>"


def _left_out(report: Report) -> str:
    if not report.bad:
        return "<h2>Left out</h2><p>No row was left out.</p>"
    lines = [_row(f"<th scope=row>{escape(why)}</th>", [f"{n:,}"]) for why, n in sorted(report.bad.items())]
    note = "<p>These rows are in the dead letters, each as it was and with the reason.</p>"
    return f"<h2>Left out</h2>{note}<div class=wide><table>{''.join(lines)}</table></div>"


def _row(head: str, cells: Sequence[str]) -> str:
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _by_net(totals: Mapping[str, Totals]) -> dict[str, Totals]:
    return dict(sorted(totals.items(), key=lambda pair: (-pair[1].net, pair[0])))


def _money(cents: int, report: Report) -> str:
    sign = _MINUS if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02} {escape(report.currency)}"


def _change(now: Totals, before: Totals | None) -> str:
    change = None if before is None else percent(now.net, before.net)
    return "" if change is None else f"{change:+.1f} %".replace("-", _MINUS)


_STYLE = """
:root { color-scheme: light dark; --font: system-ui, sans-serif; --paper: #fff; --card: #f4f5f7; --ink: #1c2330;
  --soft: #5a6474; --grid: #d9dde3; --series-0: #2563eb; --series-1: #d9480f; --series-2: #0b7a4b; --series-3: #9c36b5;
  --series-4: #946c00; --series-5: #0c7c93 }
@media (prefers-color-scheme: dark) { :root { --paper: #12161d; --card: #1b212b; --ink: #e6e9ef; --soft: #9aa5b5;
  --grid: #2e3744; --series-0: #6ea8fe; --series-1: #ff9466; --series-2: #51cf8a; --series-3: #e08bf5;
  --series-4: #f0c04c; --series-5: #4fd1e8 } }
body { font: 16px/1.45 var(--font); background: var(--paper); color: var(--ink); margin: 0 auto; max-width: 960px;
  padding: 16px }
h1 { margin: .2em 0 0; font-size: 1.7rem } h2 { margin: 1.6em 0 .4em; font-size: 1.15rem }
p { color: var(--soft); margin: .3em 0 }
dl { display: flex; flex-wrap: wrap; gap: 10px; margin: 1em 0 } dl div { flex: 1 }
dl div, figure { background: var(--card); border-radius: 10px; padding: 10px 12px }
dt { color: var(--soft); font-size: .85rem } dd { margin: 0; font-size: 1.05rem; font-weight: 600; white-space: nowrap }
figure { margin: 12px 0; overflow-x: auto } figcaption { font-weight: 600; margin-bottom: 4px }
svg { width: 100%; min-width: 560px; height: auto }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .9rem } th, td { padding: 4px 8px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid) } th:first-child { text-align: left } thead th { color: var(--soft) }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{title}</title><style>{style}</style></head>
<body>{body}</body></html>
"""
