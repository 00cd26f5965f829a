"""Daily and weekly totals as tables, each period next to the one before."""

import datetime
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from .orders import Totals

__all__ = ["Pairs", "percent", "table_of", "totals_by"]

Key = tuple[datetime.date, str, str]
#: Totals by (first day, region, product), as plain tuples.
Pairs = Iterable[tuple[Key, Any]]

_MONEY = pa.decimal128(18, 2)
_TYPES = {
    "starts": pa.date32(),
    "region": pa.string(),
    "product": pa.string(),
    "sales": _MONEY,
    "refunds": _MONEY,
    "net": _MONEY,
    "orders": pa.int64(),
    "returns": pa.int64(),
    "units": pa.int64(),
}
_COMPARED = {"net_before": _MONEY, "change_percent": pa.float64()}
_SCHEMA = pa.schema([*(pa.field(*column, False) for column in _TYPES.items()), *_COMPARED.items()])


def table_of(pairs: Pairs, days: int) -> pa.Table:
    """A row per period, region and product; `net_before` is null if there was nothing in the period before."""
    totals = {key: Totals(*values) for key, values in pairs}
    step = datetime.timedelta(days=days)
    rows = []
    for key in sorted(totals):
        (starts, region, product), own = key, totals[key]
        before = totals.get((starts - step, region, product))
        money = [_money(own.sales), _money(own.refunds), _money(own.net)]
        compared = (None, None) if before is None else (_money(before.net), percent(own.net, before.net))
        rows.append((*key, *money, own.orders, own.returns, own.units, *compared))
    return pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True)) for row in rows], _SCHEMA)


def percent(now: int, before: int) -> float | None:
    """The change in percent; None if the value before is zero.

    >>> percent(150, 100), percent(50, -100), percent(1, 0)
    (50.0, 150.0, None)
    """
    return None if not before else (now - before) / abs(before) * 100


def totals_by(pairs: Pairs, group: Callable[[Key], Hashable]) -> dict[Any, Totals]:
    """The totals of larger groups: `totals_by(daily, lambda key: key[1])` has those of the regions."""
    found: dict[Any, list[int]] = defaultdict(lambda: [0] * len(Totals._fields))
    for key, values in pairs:
        found[group(key)] = [a + b for a, b in zip(found[group(key)], values, strict=True)]
    return {name: Totals(*values) for name, values in found.items()}


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
