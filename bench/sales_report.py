"""Compares the aggregation of sales_report with the same in Beam element by element, and in bare pyarrow.

    python bench/sales_report.py [--rows 10000000] [--rounds 3] [--elements 200000]

Each run computes totals per local day, region and product from Parquet files of examples/sales.py to totals in memory.
Runs are processes of their own and take turns. Each measures itself, without imports: the time on the clock, the time
of the processor (all threads), which other work on the machine disturbs less, and the peak of the memory. Medians are
compared. The claims: at least 20 times the rate of element by element (with fewer rows, as only rates are compared), at
most 3 times the time of bare pyarrow, and the same memory for 1/10 of the rows. All results must be equal to the cent.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[1]
ZONE = "Europe/Berlin"
#: The number of groups, sales and refunds in cents, for the parent process to compare; then times in microseconds.
Outcome = list[int]


def ours(files: str) -> Outcome:
    """Runs the flow of pipelines/sales_report.py, with its daily and its weekly totals."""
    import apache_beam as beam

    from beam_patterns.pipelines.parts.sales.orders import TYPES, Order
    from beam_patterns.pipelines.sales_report import sales_report
    from beam_patterns.transforms import ReadRows

    return _timed(
        lambda p: sales_report(p | ReadRows(files, Order, TYPES), zone=ZONE, week_starts="monday").daily,
        lambda: beam.Pipeline("FnApiRunner"),
        scale=1,
    )


def by_element(files: str) -> Outcome:
    """Computes the daily totals as in common Beam code: rows as dicts, a Map, a CombinePerKey."""
    import apache_beam as beam

    zone = ZoneInfo(ZONE)

    def pair(order: dict[str, Any]) -> tuple[tuple[str, str, str], tuple[Any, ...]]:
        amount, quantity = order["amount"], order["quantity"]
        key = (order["placed_at"].astimezone(zone).date().isoformat(), order["region"], order["product"])
        return key, (amount, 0, 1, 0, quantity) if amount >= 0 else (0, amount, 0, 1, -quantity)

    columns = ["placed_at", "region", "product", "quantity", "amount"]
    return _timed(
        lambda p: p | beam.io.ReadFromParquet(files, columns=columns) | beam.Map(pair) | beam.CombinePerKey(_added),
        lambda: beam.Pipeline("FnApiRunner"),
        scale=100,
    )


def _added(values: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(map(sum, zip(*values, strict=True)))


def bare(files: str) -> Outcome:
    """Computes the daily totals in bare pyarrow, with all rows in memory at once."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def totals() -> Outcome:
        paths = sorted(Path(files).parent.glob(Path(files).name))
        columns = ["placed_at", "region", "product", "quantity", "amount"]
        table = pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])
        amount, is_sale = table["amount"], pc.greater_equal(table["amount"], 0)
        zero = pa.scalar(0, amount.type)
        picked = pa.table(
            {
                "day": pc.local_timestamp(table["placed_at"].cast(pa.timestamp("us", ZONE))).cast(
                    pa.date32(), safe=False
                ),
                "region": table["region"],
                "product": table["product"],
                "sales": pc.if_else(is_sale, amount, zero),
                "refunds": pc.if_else(is_sale, zero, amount),
                "orders": is_sale,
                "returns": pc.invert(is_sale),
                "units": pc.if_else(is_sale, table["quantity"], pc.negate(table["quantity"])),
            }
        )
        keys = picked.column_names[:3]
        days = picked.group_by(keys).aggregate([(name, "sum") for name in picked.column_names[3:]])
        return [days.num_rows, *(int(pc.sum(days[f"{name}_sum"]).as_py() * 100) for name in ("sales", "refunds"))]

    clock = Clock()
    return [*totals(), *clock.micros()]


class Clock:
    """Measures time since it was created."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def micros(self) -> list[int]:
        """The time on the clock and of the processor."""
        taken = time.perf_counter() - self._wall, time.process_time() - self._processor
        return [round(seconds * 1e6) for seconds in taken]


def _timed(graph: Callable[[Any], Any], make: Callable[[], Any], scale: int) -> Outcome:
    from beam_patterns.testing.collect import Collect

    seen, p = Collect(), make()
    clock = Clock()
    _ = graph(p) | seen
    p.run().wait_until_finish()
    taken = clock.micros()
    sums = [int(sum(values[i] for _, values in seen.elements) * scale) for i in (0, 1)]
    return [len(seen.elements), *sums, *taken]


class Measured:
    """The measurements of one kind of run."""

    def __init__(self, name: str, files: str) -> None:
        self.name, self._files = name, files
        self.seconds: list[float] = []
        self.processor: list[float] = []
        self.megabytes: list[float] = []
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        """Runs it once, in a new process."""
        command = [sys.executable, __file__, "--run", self.name, "--files", self._files]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        *outcome, wall, processor, kilobytes = json.loads(output.splitlines()[-1])
        self.outcomes.append(outcome)
        self.seconds.append(wall / 1e6)
        self.processor.append(processor / 1e6)
        self.megabytes.append(kilobytes / 1024)

    def print_medians(self, title: str, rows: int) -> tuple[float, float]:
        """Prints the measurements; returns the medians in seconds, of the clock and of the processor."""
        wall, processor = statistics.median(self.seconds), statistics.median(self.processor)
        print(f"{title:18} {rows:>11,} rows {wall:7.2f} s {rows / wall:>11,.0f} rows/s", end="")
        print(f"   processor {processor:7.2f} s   peak {max(self.megabytes):6,.0f} MB   {self.outcomes[0][0]:,} groups")
        return wall, processor


def generate(folder: Path, rows: int) -> str:
    """Writes files of orders; returns their pattern."""
    command = [sys.executable, "examples/sales.py", "--count", str(rows), "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return f"{folder}/*.parquet"


def main() -> None:
    """Runs the comparison, or one measurement in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--elements", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--files", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.run:
        outcome = {"ours": ours, "bare": bare, "by_element": by_element}[o.run](o.files)
        print(json.dumps([*outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), o)


def measure(folder: Path, o: argparse.Namespace) -> None:
    """Generates files, runs all kinds in turn, and prints the comparison."""
    many, tenth, few = (generate(folder / str(n), n) for n in (o.rows, o.rows // 10, o.elements))
    runs = [Measured("ours", many), Measured("bare", many), Measured("ours", tenth), Measured("by_element", few)]
    for _ in range(o.rounds):
        for run in runs:
            run.run()
    checked = Measured("ours", few)
    checked.run()
    assert runs[0].outcomes[0] == runs[1].outcomes[0], "not the same totals as bare pyarrow"
    assert checked.outcomes[0] == runs[3].outcomes[0], "not the same totals as element by element"
    whole = runs[0].print_medians("sales_report", o.rows)
    alone = runs[1].print_medians("bare pyarrow", o.rows)
    runs[2].print_medians("sales_report", o.rows // 10)
    single = runs[3].print_medians("Beam, by element", o.elements)
    for name, i in {"clock": 0, "processor": 1}.items():
        rate = (o.rows / whole[i]) / (o.elements / single[i])
        print(f"{name}: {rate:.1f} times the rate of element by element", end="; ")
        print(f"{whole[i] / alone[i]:.2f} times the time of bare pyarrow")
    grown = max(runs[0].megabytes) / max(runs[2].megabytes)
    print(f"memory: {grown:.2f} times as much for 10 times the rows")


if __name__ == "__main__":
    main()
