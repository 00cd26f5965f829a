"""Daily and weekly totals as tables: sorted, and each beside the period before."""

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from .orders import Totals

__all__ = ["Pairs", "by_field", "percent", "table_of"]

Key = tuple[datetime.date, str, str]
Pairs = Iterable[tuple[Key, Any]]

_MONEY = pa.decimal128(18, 2)
_SCHEMA = pa.schema(
    [
        pa.field("starts", pa.date32(), False),
        pa.field("region", pa.string(), False),
        pa.field("product", pa.string(), False),
        pa.field("sales", _MONEY, False),
        pa.field("refunds", _MONEY, False),
        pa.field("net", _MONEY, False),
        pa.field("orders", pa.int64(), False),
        pa.field("returns", pa.int64(), False),
        pa.field("units", pa.int64(), False),
        pa.field("net_before", _MONEY),
        pa.field("change_percent", pa.float64()),
    ]
)


def table_of(pairs: Pairs, days: int) -> pa.Table:
    """A row per period, region and product; `net_before` is that of the period before, null where it had none."""
    totals = {key: Totals(*values) for key, values in pairs}
    step = datetime.timedelta(days=days)
    rows = []
    for key in sorted(totals):
        (starts, region, product), own = key, totals[key]
        before = totals.get((starts - step, region, product))
        rows.append(
            {
                "starts": starts,
                "region": region,
                "product": product,
                "sales": _money(own.sales),
                "refunds": _money(own.refunds),
                "net": _money(own.net),
                "orders": own.orders,
                "returns": own.returns,
                "units": own.units,
                "net_before": None if before is None else _money(before.net),
                "change_percent": None if before is None else percent(own.net, before.net),
            }
        )
    return pa.Table.from_pylist(rows, _SCHEMA)


def percent(now: int, before: int) -> float | None:
    """The change in percent; None where there was nothing to compare with.

    >>> percent(150, 100), percent(50, -100), percent(1, 0)
    (50.0, 150.0, None)
    """
    return None if not before else (now - before) / abs(before) * 100


def by_field(pairs: Pairs, *of: Callable[[Key], Any]) -> dict[Any, Totals]:
    """The totals of pairs, added up by something else: `by_field(daily, region_of)`."""
    found: dict[Any, list[int]] = defaultdict(lambda: [0] * len(Totals._fields))
    for key, values in pairs:
        place = of[0](key) if len(of) == 1 else tuple(part(key) for part in of)
        found[place] = [a + b for a, b in zip(found[place], values, strict=True)]
    return {place: Totals(*values) for place, values in found.items()}


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
