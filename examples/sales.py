"""Realistic orders, as Parquet or CSV files.

    python examples/sales.py --count 1000000 --output data                  # data/orders-00.parquet ...
    python examples/sales.py --count 100000 --output data --format csv      # with broken rows

The same seed gives the same orders: a quarter of a year with slowly growing sales, more of them before the weekend, and
3 % refunds. About 1 in 500 rows of a CSV file is broken, in ways that are common in exports.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

REGIONS = ("north", "south", "east", "west", "islands", "export")
PRODUCTS = (
    "espresso",
    "filter coffee",
    "green tea",
    "black tea",
    "cocoa",
    "grinder",
    "kettle",
    "scale",
    "mug",
    "filter",
)
_PRICES = np.array([1290, 990, 750, 690, 850, 8900, 5490, 3900, 1400, 450])
_START = 1767225600  # 2026-01-01T00:00:00Z
_DAYS = 90
_PER_FILE = 1_000_000
_BROKEN = (
    lambda row: row.replace(",", ";"),
    lambda row: row.rsplit(",", 1)[0] + ",n/a",
    lambda row: ",".join([*row.split(",")[:2], "", *row.split(",")[3:]]),
    lambda row: row + "9",
    lambda row: ",".join(["x", "31.12.2025 23:59", *row.split(",")[2:]]),
)


def orders(count: int, seed: int, first: int = 0) -> pa.Table:
    """Orders with ascending ids from `first`."""
    chance = np.random.default_rng([seed, first])
    weekly = np.array([1.0, 0.9, 0.9, 1.1, 1.5, 1.7, 0.8])  # 2026-01-01 is a Thursday; Friday and Saturday are busy.
    weights = weekly[(np.arange(_DAYS) + 3) % 7] * (1 + np.arange(_DAYS) / 300)
    days = chance.choice(_DAYS, count, p=weights / weights.sum())
    micros = (_START + days * 86400) * 1_000_000 + chance.integers(0, 86_400_000_000, count)
    product = chance.choice(len(PRODUCTS), count, p=_shares(len(PRODUCTS)))
    quantity = 1 + chance.poisson(0.6, count)
    cents = _PRICES[product] * quantity - chance.integers(0, 200, count)
    cents = np.where(chance.random(count) < 0.03, -cents, cents)
    return pa.table(
        {
            "order_id": pa.array(np.arange(first, first + count)),
            "placed_at": pa.array(micros, pa.timestamp("us", "UTC")),
            "region": _words(REGIONS, chance.choice(len(REGIONS), count, p=_shares(len(REGIONS)))),
            "product": _words(PRODUCTS, product),
            "quantity": pa.array(quantity, pa.int64()),
            "amount": _amounts(cents),
        }
    )


def _shares(number: int) -> np.ndarray:
    ranks = 1 / (1 + np.arange(number))
    return ranks / ranks.sum()


def _words(words: tuple[str, ...], chosen: np.ndarray) -> pa.Array:
    return pa.array(words).take(pa.array(chosen))


def _amounts(cents: np.ndarray) -> pa.Array:
    halves = np.empty((len(cents), 2), np.int64)  # A decimal128 is two halves of 64 bits.
    halves[:, 0], halves[:, 1] = cents, cents >> 63
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(halves)])


def write_csv(table: pa.Table, path: Path, seed: int) -> int:
    """Writes a CSV file with some broken rows; returns their number."""
    sink = pa.BufferOutputStream()
    pc_csv.write_csv(table, sink, pc_csv.WriteOptions(quoting_style="needed"))
    head, *rows = sink.getvalue().to_pybytes().decode().splitlines()
    chance = random.Random(seed)
    broken = chance.sample(range(len(rows)), len(rows) // 500)
    for number, row in enumerate(broken):
        rows[row] = _BROKEN[number % len(_BROKEN)](rows[row])
    path.write_text("\n".join([head, *rows, ""]))
    return len(broken)


def main() -> int:
    """Writes the files and prints their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    o.output.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, o.count, _PER_FILE)):
        table = orders(min(_PER_FILE, o.count - first), o.seed, first)
        path = o.output / f"orders-{number:02}.{o.format}"
        if o.format == "csv":
            print(f"{path}: {table.num_rows:,} rows, {write_csv(table, path, o.seed):,} of them broken")
        else:
            pq.write_table(table, path, compression="zstd", row_group_size=250_000)
            print(f"{path}: {table.num_rows:,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
