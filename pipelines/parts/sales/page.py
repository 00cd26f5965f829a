"""The sales report as one self-contained page: charts, tables, and the rows that were left out."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_patterns.pipelines.runtime.pages import write_page

from . import charts
from .orders import Totals
from .periods import Pairs, percent, totals_by

__all__ = ["write_sales_page"]

_MAX_LINES = 6
_ZERO = Totals(0, 0, 0, 0, 0)


def write_sales_page(path: Path, daily: Pairs, weekly: Pairs, bad: Mapping[str, int], options: Any) -> None:
    """Writes the page; `bad` has the number of rows that were left out by reason."""
    by_day = totals_by(daily, lambda key: key[0])
    weeks = dict(sorted(totals_by(weekly, lambda key: key[0]).items()))
    regions = _largest(totals_by(daily, lambda key: key[1]))
    products = _largest(totals_by(daily, lambda key: key[2]))[: options.top]
    rows, changes = _compared(weeks, by_day)
    write_page(
        path,
        "parts/sales/sales.html",
        days=sorted(by_day),
        total=totals_by(daily, lambda key: None).get(None, _ZERO),
        charts=_charts(daily, weeks, regions, products) if regions else (),
        weeks=rows,
        changes=changes,
        regions=regions,
        products=products,
        bad=bad,
        options=options,
    )


def _largest(totals: Mapping[str, Totals]) -> list[tuple[str, Totals]]:
    return sorted(totals.items(), key=lambda pair: (-pair[1].net, pair[0]))


def _charts(daily: Pairs, weeks: Mapping[Any, Totals], regions: list[Any], products: list[Any]) -> list[charts.Chart]:
    totals = totals_by(daily, lambda key: key[:2])
    first, last = min(day for day, _ in totals), max(day for day, _ in totals)
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]
    series: dict[str, Sequence[float]] = {
        region: [totals.get((day, region), _ZERO).net / 100 for day in days] for region, _ in regions[:_MAX_LINES]
    }
    names, values = [name for name, _ in products], [of.net / 100 for _, of in products]
    return [
        charts.lines("Net sales per day, the largest regions", days, series),
        charts.columns("Net sales per week", list(weeks), [week.net / 100 for week in weeks.values()]),
        charts.bars("Top products by net sales", names, values),
    ]


def _compared(
    weeks: Mapping[datetime.date, Totals], days: Mapping[datetime.date, Totals]
) -> tuple[list[tuple[str, Totals]], list[float | None]]:
    """The weeks, each with its change in percent. Weeks that the orders cover in part are marked and not compared."""
    rows, changes, before = [], list[float | None](), 0
    for starts, totals in weeks.items():
        whole = min(days) <= starts and starts + datetime.timedelta(days=6) <= max(days)
        rows.append((f"{starts}" if whole else f"{starts} (in part)", totals))
        changes.append(percent(totals.net, before) if whole else None)
        before = totals.net if whole else 0
    return rows, changes
