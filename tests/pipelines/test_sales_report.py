"""The sales report: exact totals, the limits of days and weeks, rows that are left out, the page."""

import datetime
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from beam_patterns.pipelines.parts.sales import charts
from beam_patterns.pipelines.sales_report import run
from tests import ROOT

HEAD = "placed_at,region,product,quantity,amount\n"


def report(folder: Path, *more: str) -> Path:
    """Runs the pipeline on the files in a folder; returns the folder of the results."""
    output = folder / "report"
    arguments = ["--output", str(output), "--quiet", *more]
    assert run(["--orders", f"{folder}/orders*", *arguments]) == 0
    return output


def totals(output: Path, file: str = "daily") -> list[tuple[Any, ...]]:
    rows = pq.read_table(output / f"{file}.parquet").to_pylist()
    return [(str(r["starts"]), r["region"], r["product"], r["sales"], r["refunds"], r["orders"]) for r in rows]


def generated(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "examples/sales.py", "--output", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


@pytest.mark.integration
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_totals_agree_with_duckdb_to_the_cent(tmp_path: Path, zone: str) -> None:
    generated(tmp_path, "--count", "50000")
    output = report(tmp_path, "--timezone", zone)
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = '{zone}'")
    for file, starts in {"daily": "placed_at::DATE", "weekly": "date_trunc('week', placed_at)::DATE"}.items():
        expected = connection.execute(
            f"""SELECT ({starts})::TEXT, region, product,
                       COALESCE(sum(amount) FILTER (amount >= 0), 0), COALESCE(sum(amount) FILTER (amount < 0), 0),
                       count(*) FILTER (amount >= 0)
                FROM '{tmp_path}/orders-00.parquet' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
        ).fetchall()
        assert totals(output, file) == expected


@pytest.mark.integration
def test_csv_and_parquet_give_the_same_totals_except_for_broken_rows(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        generated(tmp_path / kind, "--count", "5000", "--format", kind)
    sums = {kind: totals(report(tmp_path / kind)) for kind in ("csv", "parquet")}
    letters = [json.loads(line) for line in (tmp_path / "csv/report/dead_letters.jsonl").open()]
    assert len(letters) == 10
    table = pq.read_table(tmp_path / "parquet/orders-00.parquet")
    broken = {int(letter["source"].rpartition("/")[2]) for letter in letters}
    lost = sum(row["amount"] for i, row in enumerate(table.to_pylist()) if i in broken)
    total = {kind: sum(sales + refunds for *_, sales, refunds, _ in rows) for kind, rows in sums.items()}
    assert total["csv"] + lost == total["parquet"]


@pytest.mark.integration
def test_a_day_begins_at_midnight_of_the_zone_and_a_week_on_the_chosen_day(tmp_path: Path) -> None:
    times = ["2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"]
    (tmp_path / "orders.csv").write_text(HEAD + "".join(f"{time},north,tea,1,1.00\n" for time in times))
    output = report(tmp_path, "--timezone", "Europe/Berlin", "--week_starts", "sunday")  # Clocks changed on the 29th.
    assert [(row[0], row[3]) for row in totals(output)] == [("2026-03-28", 1), ("2026-03-29", 2), ("2026-03-30", 1)]
    assert [(row[0], row[3]) for row in totals(output, "weekly")] == [("2026-03-22", 1), ("2026-03-29", 3)]


@pytest.mark.integration
def test_refunds_are_separate_and_each_period_is_compared_with_the_one_before(tmp_path: Path) -> None:
    rows = ["2026-03-02,10.00", "2026-03-02,-2.50", "2026-03-03,15.00", "2026-03-05,1.00"]
    lines = [f"{row.split(',')[0]}T12:00:00Z,north,tea,2,{row.split(',')[1]}\n" for row in rows]
    (tmp_path / "orders.csv").write_text(HEAD + "".join(lines))
    daily = pq.read_table(report(tmp_path) / "daily.parquet").to_pylist()
    assert daily[0] == {
        "starts": datetime.date(2026, 3, 2),
        "region": "north",
        "product": "tea",
        "sales": Decimal("10.00"),
        "refunds": Decimal("-2.50"),
        "net": Decimal("7.50"),
        "orders": 1,
        "returns": 1,
        "units": 0,
        "net_before": None,
        "change_percent": None,
    }
    assert [(row["net"], row["net_before"], row["change_percent"]) for row in daily[1:]] == [
        (Decimal("15.00"), Decimal("7.50"), 100.0),
        (Decimal("1.00"), None, None),
    ]


@pytest.mark.integration
def test_invalid_rows_are_dead_letters_and_the_page_counts_them_by_reason(tmp_path: Path) -> None:
    good = "2026-03-02T12:00:00Z,<north & co>,tea,1,10.00\n"
    bad = "2026-03-02T12:00:00Z,,tea,1,10.00\nyesterday,north,tea,1,10.00\n2026-03-02T12:00:00Z,north,tea,1,free\n"
    (tmp_path / "orders.csv").write_text(HEAD + good + bad + bad.splitlines()[1] + "\n")
    page = (report(tmp_path) / "report.html").read_text()
    assert "<dt>rows left out</dt><dd>4</dd>" in page
    left = dict(re.findall(r'<th scope="row">([^<]*)</th><td>([\d,]+)</td></tr>', page.partition("<h2>Left out")[2]))
    assert left == {"region is empty": "1", "placed_at can&#39;t be read": "2", "amount can&#39;t be read": "1"}
    assert "&lt;north &amp; co&gt;" in page
    assert "<north" not in page


def test_no_orders_make_an_empty_report(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(HEAD)
    output = report(tmp_path)
    assert totals(output) == []
    assert "There are no orders in these files." in (output / "report.html").read_text()


@pytest.mark.integration
def test_the_page_is_self_contained_and_has_the_colours_that_the_viewer_prefers(tmp_path: Path) -> None:
    generated(tmp_path, "--count", "2000")
    page = (report(tmp_path) / "report.html").read_text()
    assert page.count("<svg ") == 3
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|@import|url\((?!#)', page) == []
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"#0[123]0[123]0", page)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 100
    assert set(re.findall(r'(?:"|url\()#([^")]+)', page)) <= set(ids)


@pytest.mark.integration
def test_prism_gives_the_same_totals_and_the_same_page(tmp_path: Path, prism_endpoint: str) -> None:
    generated(tmp_path, "--count", "5000", "--format", "csv")
    prism = ["--runner=PortableRunner", f"--job_endpoint={prism_endpoint}", "--environment_type=LOOPBACK"]
    found = [
        (totals(output), totals(output, "weekly"), (output / "report.html").read_text())
        for output in (report(tmp_path, *flags) for flags in ([], prism))
    ]
    assert found[0] == found[1]


def test_charts_of_the_same_data_are_the_same_text() -> None:
    drawn = [charts.bars("Top", ["a & b", "c"], [2.0, 1.0]) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert "a &amp; b" in drawn[0].svg


@pytest.mark.filterwarnings("error")
def test_names_in_charts_are_never_formulas_and_long_ones_are_cut() -> None:
    names = [r"$\frac$", "for $1 or $2", "_hidden", "日本\u202e", "x" * 1000]
    drawn = re.findall(r"<text [^>]*>([^<]*)</text>", charts.bars("Top", names, [5.0, 4.0, 3.0, 2.0, 1.0]).svg)
    assert drawn[-5:] == [r"$\frac$", "for $1 or $2", "_hidden", r"日本\u202e", "x" * 29 + "…"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--timezone", "Berlin"], "--timezone: 'Berlin' is not a time zone; write, for example, Europe/Berlin"),
        (["--week_starts", "mon"], "--week_starts: 'mon' is not one of monday"),
        (["--top", "0"], "--top: 0 is not a number of products; give 1 or more"),
        (["--orders", "in/*.parquet", "--output", "in"], "--output would be written to in/daily.parquet, from which"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["--orders", "x.csv", "--output", str(tmp_path), *arguments]) == 2
    assert sentence in capsys.readouterr().err
