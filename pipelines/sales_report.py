"""Sales by day and week, region and product: totals, change since the period before, top products.

```
orders-*.parquet --> ReadRows --> Sum by day, region, product --+--> daily.parquet
or .csv                 |                                       |
                        |         Sum by week, of the same <----+--> weekly.parquet
                        |                                       |
                        +--> dead letters: invalid rows         +--> report.html
```

    python pipelines/sales_report.py --orders 'data/orders-*.parquet' --output report \\
        --timezone Europe/Berlin --week_starts monday

Orders are rows with placed_at (a time, in UTC unless it names another zone), region, product, quantity and amount (with
two decimal places at most; negative for a refund). A day begins at midnight in --timezone. Weeks are sums of the days'
totals, as sums can be added up from partial sums. Amounts are exact to the cent.
Needs `pip install 'beam-patterns[report]'`.

Source: Burns, Designing Distributed Systems, chapter 10 (sales reporting), chapter 12 (reduce, sum).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.pvalue import AsDict, AsIter, PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, check_queues, launch, option, queue
from beam_patterns.pipelines.parts.files.options import check_packages, letters_of
from beam_patterns.pipelines.parts.sales.orders import TYPES, VALUES, WEEKDAYS, ByWeek, Order, day_in
from beam_patterns.pipelines.parts.sales.page import write_sales_page
from beam_patterns.pipelines.parts.sales.periods import table_of
from beam_patterns.transforms import DeadLetter, DeadLetters, ReadRows, Sum
from beam_patterns.transforms.extend import replaced_file
from beam_patterns.transforms.queues import WriteToQueue

_FILES = {"daily": "daily.parquet", "weekly": "weekly.parquet", "page": "report.html"}


class SalesReportOptions(Options):
    """Sales by day and week, region and product, as Parquet files and as a page with charts."""

    orders: str = option(
        "Orders to read: a Parquet or CSV file, or a pattern in quotes.",
        example="'data/orders-*.parquet'",
    )
    output: str = option("Folder for daily.parquet, weekly.parquet and report.html.", example="report")
    timezone: str = option("Time zone in which a day begins at midnight.", example="Europe/Berlin", default="UTC")
    week_starts: str = option("First day of a week.", example="sunday", default="monday", choices=WEEKDAYS)
    currency: str = option("Currency of the amounts, for the page.", example="EUR", default="EUR")
    top: int = option("Number of products that the page names.", example="10", type=int, default=10)
    dead_letters: str = option(
        "Queue for rows that are not valid orders, with the reason; default: dead_letters.jsonl in --output.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        default="",
    )

    streams: ClassVar[bool] = False
    totals: ClassVar[bool] = True
    local: ClassVar[str] = "the tables and the page are written into a folder of one machine"

    def check(self) -> None:
        """Raises ValueError for values that can't work, before anything starts."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"--timezone: {self.timezone!r} is not a time zone; write, for example, Europe/Berlin"
            ) from None
        if self.top < 1:
            raise ValueError(f"--top: {self.top} is not a number of products; give 1 or more")
        if "://" in self.output:
            raise ValueError(f"--output: {self.output!r} is not a folder on this machine; name a local folder")
        tables = [("--output", str(Path(self.output, _FILES[name]))) for name in ("daily", "weekly")]
        check_queues([("--orders", self._files)], [*tables, ("--dead_letters", queue(self.letters))], self.streaming)
        check_packages("charts", {"matplotlib": "matplotlib"}, "report")

    @property
    def _files(self) -> str:
        """The order files as a queue, whatever the end of their names."""
        path = self.orders if "://" in self.orders else f"file://{Path(self.orders).absolute()}"
        return f"{path}?items=files"

    @property
    def letters(self) -> str:
        """The URI of the dead-letter queue."""
        return letters_of(self.dead_letters, self.output)


class Sales(NamedTuple):
    """Totals by (first day, region, product), whose values are the fields of `Totals`."""

    daily: PCollection
    weekly: PCollection


def sales_report(orders: PCollection, *, zone: str, week_starts: str, dead: ErrorHandler | None = None) -> Sales:
    """The flow from orders to totals."""
    by_day = Sum(value=VALUES, key=(day_in(zone), "region", "product"))
    daily = orders | "Daily" >> by_day.with_error_handler(dead)
    weekly = daily | "Weekly" >> Sum(value=operator.itemgetter(1), key=ByWeek(week_starts))
    return Sales(daily, weekly)


def build(p: beam.Pipeline, o: SalesReportOptions) -> Places:
    """Builds the flow between the files that the options name; returns where its results are."""
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
    """The reason without the value, so that 'amount: ...' is one reason for all rows."""
    field, colon, _ = letter.error_message.partition(":")
    return f"{field} can't be read" if colon else field


def _publish(o: SalesReportOptions, daily: Iterable[Any], weekly: Iterable[Any], bad: dict[str, int]) -> None:
    totals, folder = {"daily": list(daily), "weekly": list(weekly)}, Path(o.output)
    for name, days in {"daily": 1, "weekly": 7}.items():
        with replaced_file(folder / _FILES[name]) as partial:
            pq.write_table(table_of(totals[name], days), partial, compression="zstd")
    write_sales_page(folder / _FILES["page"], **totals, bad=bad, options=o)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with a command line; returns the exit code, with the balance."""
    return launch(SalesReportOptions, build, argv)
