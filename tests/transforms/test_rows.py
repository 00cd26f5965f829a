"""ReadRows: exact amounts and times, invalid rows one by one, files in parts."""

import datetime
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Filter, ReadRows, Sum
from beam_patterns.transforms.base.batches import batch_type_of
from beam_patterns.transforms.queues import QueueError, UnreadableError
from beam_patterns.transforms.tables.row_shape import Shape


class Order(NamedTuple):
    region: str
    amount: int
    placed_at: int
    note: Optional[str]  # noqa: UP045 (what Beam schemas understand)


TYPES = {"amount": pa.decimal128(18, 2), "placed_at": pa.timestamp("us", "UTC")}
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
MICROS = int(NOON.timestamp()) * 10**6
TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "region": pa.array(["north", "south", "north"]).dictionary_encode(),
        "placed_at": pa.array([NOON] * 3, pa.timestamp("ns", "UTC")),
        "amount": pa.array([Decimal("10.99"), Decimal("-5.00"), Decimal("0.01")], pa.decimal128(12, 2)),
        "note": ["a", None, "c"],
    }
)
ROWS = [
    Order("north", 1099, MICROS, "a"),
    Order("south", -500, MICROS, None),
    Order("north", 1, MICROS, "c"),
]


def bounded() -> beam.Pipeline:
    return beam.Pipeline("FnApiRunner")


def written(folder: Path, kind: str) -> str:
    path = folder / f"orders.{kind}"
    if kind == "parquet":
        pq.write_table(TABLE, path, row_group_size=2)
    else:
        text = pa.BufferOutputStream()
        pc_csv.write_csv(TABLE.set_column(1, "region", TABLE["region"].cast(pa.string())), text)
        data = text.getvalue().to_pybytes()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    return str(path)


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_both_formats_give_the_same_exact_rows(pipeline: Any, tmp_path: Path, kind: str) -> None:
    run = run_pattern(ReadRows(written(tmp_path, kind), Order, TYPES), make=pipeline)
    assert sorted(run["out"], key=lambda row: row.amount) == sorted(ROWS, key=lambda row: row.amount)
    assert run.counters["ReadRows", "out"] == 3


def test_rows_come_in_tables_that_patterns_process_by_columns(tmp_path: Path) -> None:
    with bounded() as p:
        rows = p | ReadRows(written(tmp_path, "parquet"), Order, TYPES)
        assert rows.element_type is Order
        assert batch_type_of(rows) is pa.Table
        paid = rows | Filter(pc.field("amount") > 0)
        assert_that(paid | Sum(value="amount", key="region"), equal_to([("north", 1100)]))


INVALID = {
    b"2,south,2026-03-01T12:00:00Z,5.001,": "amount: Rescaling Decimal value would cause data loss",
    b"3,,2026-03-01T12:00:00Z,5.00,": "region is empty",
    b"4,north,yesterday,5.00,": "placed_at: CSV",
    b"5,north,2026-03-01T12:00:00Z": "3 fields, but the header has 5",
    b"6,n\xffrth,2026-03-01T12:00:00Z,5.00,": "Invalid UTF8",
    b"7,north,2026-03-01T12:00:00Z,five,": "amount: ",
    b"8,north,2026-03-01T12:00:00,5.00,": "placed_at: ",
}


def test_each_invalid_row_of_a_csv_file_is_a_dead_letter_with_its_text_and_costs_only_itself(tmp_path: Path) -> None:
    good = b"%d,north,2026-03-01T12:00:00Z,1.00,"
    lines = [line for i, invalid in enumerate(INVALID) for line in (good % i, invalid)]
    (tmp_path / "a.csv").write_bytes(b"\n".join([b"id,region,placed_at,amount,note", *lines, b""]))
    run = run_pattern(ReadRows(f"{tmp_path}/*.csv", Order, TYPES))
    assert run["out"] == [Order("north", 100, MICROS, None)] * len(INVALID)
    assert {letter.payload for letter in run.dead} == set(INVALID)
    by_row = {letter.payload: letter for letter in run.dead}
    for number, (row, message) in enumerate(INVALID.items()):
        assert message.split(": ")[0] in by_row[row].error_message
        assert by_row[row].source == f"{tmp_path}/a.csv/0/{2 * number + 1}"
    assert (run.counters["ReadRows", "out"], run.counters["ReadRows", "dead"]) == (len(INVALID), len(INVALID))


def test_a_null_in_a_parquet_file_is_a_dead_letter_if_the_field_is_not_optional(pipeline: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(TABLE.set_column(1, "region", pa.array(["north", None, "north"])), path)
    run = run_pattern(ReadRows(path, Order, TYPES), make=pipeline)
    assert run["out"] == [ROWS[0], ROWS[2]]
    (letter,) = run.dead
    assert letter.error_message == "region is null"
    assert letter.payload == b'{"region":null,"amount":"-5.00","placed_at":"2026-03-01T12:00:00+00:00","note":null}'


def test_a_file_in_another_format_is_a_dead_letter_and_the_others_are_read(tmp_path: Path) -> None:
    written(tmp_path, "parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    run = run_pattern(ReadRows(f"{tmp_path}/*.parquet", Order, TYPES))
    assert len(run["out"]) == 3
    assert [letter.error_message.split(":")[0] for letter in run.dead] == [
        f"the file {tmp_path}/broken.parquet can't be read as Parquet"
    ]


@pytest.mark.integration
@pytest.mark.parametrize("text", [b"", b"id,region,placed_at,amount,note\n", b"id,region,placed_at,amount,note"])
def test_an_empty_file_has_no_rows(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with bounded() as p:
        assert_that(p | ReadRows(f"{tmp_path}/a.csv", Order, TYPES), equal_to([]))


def test_quoted_line_breaks_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfregion,note\n"no\nrth","say ""hi"""\n')

    with bounded() as p:
        assert_that(p | ReadRows(f"{tmp_path}/a.csv", Noted), equal_to([Noted("no\nrth", 'say "hi"')]))


class Noted(NamedTuple):
    region: str
    note: str


def failing(folder: Path, **changes: Any) -> Any:
    with bounded() as p:
        _ = p | ReadRows(**{"files": written(folder, "parquet"), "row": Order, "types": TYPES, **changes})


class Priced(NamedTuple):
    price: int


class Placed(NamedTuple):
    placed_at: int


def test_a_column_that_no_row_can_match_fails_the_run_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="has no column 'price'; its columns are id, region, placed_at"):
        failing(tmp_path, row=Priced, types={})
    with pytest.raises(QueueError, match=r"name the unit that you want, types={'placed_at': pa.timestamp"):
        failing(tmp_path, row=Placed, types={})
    with pytest.raises(QueueError, match=r"no file matches .*none.csv; check the path"):
        failing(tmp_path, files=f"{tmp_path}/none.csv")
    (tmp_path / "a.csv").write_text("region,note\nnorth,\n")
    with pytest.raises(UnreadableError, match=r"a.csv/0/0 is invalid: note is empty. Add .with_error_handler"):
        failing(tmp_path, files=f"{tmp_path}/a.csv", row=Noted, types={})


@given(st.lists(st.integers(-(10**17), 10**17)), st.integers(0, 3))
@settings(deadline=None)
def test_amounts_become_cents_exactly(cents: list[int], start: int) -> None:
    amounts = pa.array([Decimal(n).scaleb(-2) for n in cents], pa.decimal128(38, 2)).slice(start)
    shape = Shape(Priced, {"price": pa.decimal128(38, 2)})
    assert shape.converted(pa.table({"price": amounts}))["price"].to_pylist() == cents[start:]


class Wrong(NamedTuple):
    when: datetime.date


class Union(NamedTuple):
    n: int | None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: ReadRows("", Order), "needs a path or pattern first, not ''"),
        (lambda: ReadRows("a", dict), "needs a NamedTuple class whose fields are columns"),
        (lambda: ReadRows("a", Wrong), "Wrong.when is .*date.* Amounts, times and dates are int"),
        (lambda: ReadRows("a", Union), r"Union.n: Beam's rows support Optional\[...\], not int | None"),
        (lambda: ReadRows("a", Order, {"price": pa.date32()}), "Order has no field 'price', only region"),
        (lambda: ReadRows("a", Order, {"region": pa.date32()}), "Order.region: types= is for int fields"),
    ],
)
def test_wrong_use_raises_at_construction(wrong: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrong()
