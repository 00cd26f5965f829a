"""A user's program in which each line with the comment is an error to mypy --strict and to pyright."""

from typing import NamedTuple

from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Options, option
from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Copier, Dedupe, Filter, Map, Merger, Predicate, Sharder, Splitter, Stream, Sum


class Order(NamedTuple):
    """A row."""

    id: int
    shipped: bool


class Sent(NamedTuple):
    """The branches of a Splitter."""

    email: Stream[Order]
    otherwise: Stream[Order]


class MyOptions(Options):
    """Options with a required one."""

    orders: str = option("The files of orders.", example="orders-*.csv")
    limit: int = option("How many.", example="3", type=int, default=10)


def is_shipped(order: Order) -> bool:
    """A predicate."""
    return order.shipped


def length(text: str) -> int:
    """A function of a text."""
    return len(text)


def flow(orders: Stream[Order], plain: PCollection[Order], dead: ErrorHandler) -> None:
    """Wrong lines."""
    Filter("shipped")  # error
    Filter(3)  # error
    Filter(None)  # error
    Filter()  # error
    Filter(is_shipped).with_view("json")  # error
    Filter(is_shipped).with_error_handler("dead")  # error
    Filter(is_shipped).with_breaker(share="half")  # error
    Splitter(email="yes")  # error
    Splitter(email=is_shipped, sms=1)  # error
    Splitter.by("channel", "email")  # error
    Splitter(email=is_shipped).with_result("Sent")  # error
    Sharder("4")  # error
    Sharder(4, key=5)  # error
    Map(3)  # error
    Map("upper")  # error
    Copier("a", 3)  # error
    Copier("a", "b").with_error_handler(dead)  # error
    Merger().with_error_handler(dead)  # error
    Dedupe("id")  # error
    Dedupe(is_shipped, within="an hour")  # error
    Sum(value=1.5, key="id")  # error
    MyOptions()  # error
    MyOptions(orders="a.csv", limits=3)  # error
    run_pattern(3, [])  # error
    split = orders | Splitter(email=is_shipped).with_result(Sent)
    print(split.emial)  # error
    print((split.email | Map(length)).email)  # error
    texts: Stream[str] = orders | Filter(is_shipped)  # error
    numbers: Stream[str] = orders | Map(is_shipped)  # error
    predicate: Predicate[Order] = length  # error
    print((split.email | "Shipped" >> Filter(is_shipped)).shipped)  # error
    print(plain, texts, numbers, predicate)
