"""Orders as rows, and the totals computed from them."""

import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TYPES", "VALUES", "WEEKDAYS", "ByWeek", "Order", "Totals", "day_in"]


class Order(NamedTuple):
    """The columns to read. A refund is an order with a negative amount."""

    placed_at: int
    """Microseconds since the epoch."""
    region: str
    product: str
    quantity: int
    amount: int
    """Cents."""


#: The types of the columns in files.
TYPES = {"placed_at": pa.timestamp("us", "UTC"), "amount": pa.decimal128(18, 2)}

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Totals(NamedTuple):
    """Totals of a group of orders. Amounts are in cents, those of refunds negative."""

    sales: int
    refunds: int
    orders: int
    returns: int
    units: int

    @property
    def net(self) -> int:
        """Sales less refunds."""
        return self.sales + self.refunds


_AMOUNT, _QUANTITY = pc.field("amount"), pc.field("quantity")
_IS_SALE = pc.greater_equal(_AMOUNT, pc.scalar(0))
#: The values that Sum adds up, in the order of the fields of Totals.
VALUES = (
    pc.if_else(_IS_SALE, _AMOUNT, 0),
    pc.if_else(_IS_SALE, 0, _AMOUNT),
    pc.if_else(_IS_SALE, 1, 0),
    pc.if_else(_IS_SALE, 0, 1),
    pc.if_else(_IS_SALE, _QUANTITY, pc.negate(_QUANTITY)),
)


def day_in(zone: str) -> pc.Expression:
    """The local day on which an order was placed, in a time zone."""
    local = pc.field("placed_at").cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    return pc.local_timestamp(local).cast(pa.date32(), safe=False)


class ByWeek:
    """The key of a daily total, with the first day of the week instead of the day.

    >>> ByWeek("monday")(((datetime.date(2026, 3, 1), "north", "tea"), ()))
    (datetime.date(2026, 2, 23), 'north', 'tea')
    >>> ByWeek("sunday")(((datetime.date(2026, 3, 1), "north", "tea"), ()))
    (datetime.date(2026, 3, 1), 'north', 'tea')
    """

    def __init__(self, starts: str) -> None:
        self._first = WEEKDAYS.index(starts)

    def __call__(self, pair: Any) -> tuple[datetime.date, str, str]:
        (day, region, product), _ = pair
        return day - datetime.timedelta(days=(day.weekday() - self._first) % 7), region, product
