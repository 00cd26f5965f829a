"""Sales by day and week, region and product: totals, change against the period before, top products.

```
orders-*.parquet --> ReadRows --> Sum by day, region, product --+--> daily.parquet
or .csv                 |                                       |
                        |         Sum by week, of the same <----+--> weekly.parquet
                        |                                       |
                        +--> dead letters: rows that are none   +--> report.html
```

    python pipelines/sales_report.py --orders 'data/orders-*.parquet' --output report \\
        --timezone Europe/Berlin --week_starts monday

Orders are rows with placed_at (a time, in UTC if it says nothing else), region, product, quantity and amount (at most
two decimal places; a refund is negative). A day begins at midnight of --timezone. Weeks are made of the days' totals,
because sums are sums of partial sums. Amounts are exact to the cent. Needs `pip install 'beam-patterns[report]'`.

Source: Burns, Designing Distributed Systems, chapter 10 (sales reporting), chapter 12 (reduce, sum).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import importlib.util
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import AsDict, AsIter, PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, check_queues, launch, option, queue
from beam_patterns.pipelines.parts.sales.orders import TYPES, VALUES, WEEKDAYS, ByWeek, Order, day_in
from beam_patterns.pipelines.parts.sales.page import Report, render
from beam_patterns.pipelines.parts.sales.periods import table_of
from beam_patterns.transforms import DeadLetter, DeadLetters, ReadRows, Sum
from beam_patterns.transforms.queues import WriteToQueue

_FILES = {"daily": "daily.parquet", "weekly": "weekly.parquet", "page": "report.html"}


class SalesReportOptions(Options):
    """Sales by day and week, region and product, as Parquet files and as a page with charts."""

    orders: str = option(
        "The orders: a Parquet or CSV file, or a pattern in quotes.",
        example="'data/orders-*.parquet'",
    )
    output: str = option("The folder for daily.parquet, weekly.parquet and report.html.", example="report")
    timezone: str = option("Where a day begins at midnight.", example="Europe/Berlin", default="UTC")
    week_starts: str = option("The first day of a week.", example="sunday", default="monday", choices=WEEKDAYS)
    currency: str = option("What amounts are in, for the page.", example="EUR", default="EUR")
    top: int = option("How many products are named.", example="10", type=int, default=10)
    dead_letters: str = option(
        "The queue for rows that are no orders, with the reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )

    streams: ClassVar[bool] = False
    totals: ClassVar[bool] = True
    local: ClassVar[str] = "tables and page are written into a folder of one machine"

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"--timezone: there is no {self.timezone!r}; write for instance Europe/Berlin") from None
        if self.top < 1:
            raise ValueError(f"--top: {self.top} names no product; give 1 or more")
        if "://" in self.output:
            raise ValueError(f"--output: {self.output} is no folder of this machine")
        tables = [("--output", str(Path(self.output, _FILES[name]))) for name in ("daily", "weekly")]
        check_queues([("--orders", self._files)], [*tables, ("--dead_letters", queue(self.letters))], self.streaming)
        if importlib.util.find_spec("matplotlib") is None:
            raise ValueError("charts need the package matplotlib: pip install 'beam-patterns[report]'")

    @property
    def _files(self) -> str:
        """The order files as a queue, whatever their names end in."""
        path = self.orders if "://" in self.orders else f"file://{Path(self.orders).absolute()}"
        return f"{path}?items=files"

    @property
    def letters(self) -> str:
        """The dead letters' URI."""
        return self.dead_letters or str(Path(self.output).absolute() / "dead_letters.jsonl")


class Sales(NamedTuple):
    """Totals by (first day, region, product); the values are the fields of Totals."""

    daily: PCollection
    weekly: PCollection


def sales_report(orders: PCollection, *, zone: str, week_starts: str, dead: ErrorHandler | None = None) -> Sales:
    """The flow, from orders to totals."""
    by_day = Sum(value=VALUES, key=(day_in(zone), "region", "product"))
    daily = orders | "Daily" >> by_day.with_error_handler(dead)
    weekly = daily | "Weekly" >> Sum(value=operator.itemgetter(1), key=ByWeek(week_starts))
    return Sales(daily, weekly)


def build(p: beam.Pipeline, o: SalesReportOptions) -> Places:
    """The flow between the files that the options name, and where its results lie."""
    with ErrorHandler("DeadLetters" >> DeadLetters()) as dead:
        orders = p | "Read" >> ReadRows(o.orders, Order, TYPES).with_error_handler(dead)
        sales = sales_report(orders, zone=o.timezone, week_starts=o.week_starts, dead=dead)
    letters = dead.output()
    letters | "Park" >> WriteToQueue(o.letters)
    reasons = letters | "Reasons" >> Sum(value=1, key=_reason)
    _ = (
        p
        | "Options" >> beam.Create([o], reshuffle=False)
        | "Publish" >> beam.Map(_publish, AsIter(sales.daily), AsIter(sales.weekly), AsDict(reasons))
    )
    return {**{name: str(Path(o.output, file)) for name, file in _FILES.items()}, "dead letters": o.letters}


def _reason(letter: DeadLetter) -> str:
    """What is wrong, without the value: 'amount: ...' and all others of its kind are one reason."""
    field, colon, _ = letter.error_message.partition(":")
    return f"{field} can't be read" if colon else field


def _publish(o: SalesReportOptions, daily: Iterable[Any], weekly: Iterable[Any], bad: dict[str, int]) -> None:
    days, weeks = list(daily), list(weekly)
    folder = Path(o.output)
    folder.mkdir(parents=True, exist_ok=True)
    _write_table(folder / _FILES["daily"], table_of(days, 1))
    _write_table(folder / _FILES["weekly"], table_of(weeks, 7))
    page = render(Report(days, weeks, bad, o.timezone, o.week_starts, o.currency, o.top))
    _replace(folder / _FILES["page"], page.encode())


def _write_table(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    _replace(path, sink.getvalue().to_pybytes())


def _replace(path: Path, data: bytes) -> None:
    """Nobody ever sees half a file."""
    new = path.with_name(f".{path.name}.tmp")
    new.write_bytes(data)
    new.replace(path)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code, with the balance."""
    return launch(SalesReportOptions, build, argv)
