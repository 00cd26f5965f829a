"""A user's program in which mypy --strict and pyright find no error."""

import operator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Options, option
from beam_patterns.testing import assert_conserved, run_pattern
from beam_patterns.transforms import (
    Copier,
    DeadLetters,
    Dedupe,
    Filter,
    Histogram,
    Join,
    Map,
    Merger,
    Predicate,
    ReadRows,
    Reduce,
    Sharder,
    Splitter,
    Stream,
    Sum,
    WorkQueue,
)
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue


class Order(NamedTuple):
    """A row."""

    id: int
    shipped: bool
    by: str


class Sent(NamedTuple):
    """The branches of a Splitter."""

    email: Stream[Order]
    sms: Stream[Order]
    otherwise: Stream[Order]


class Copies(NamedTuple):
    """The branches of a Copier."""

    archive: PCollection[Order]
    mail: PCollection[Order]


class MyOptions(Options):
    """Options of a pipeline."""

    orders: str = option("The files of orders.", example="orders-*.csv")
    limit: int = option("How many.", example="3", type=int, default=10)


def is_shipped(order: Order) -> bool:
    """A predicate."""
    return order.shipped


def by_id(limit: int) -> Predicate[Order]:
    """A predicate that is made."""
    return lambda order: order.id < limit


def is_big(thing: tuple[Any, ...]) -> bool:
    """A predicate of a base class."""
    return len(thing) > 2


def text_of(order: Order) -> str:
    """A function of one element."""
    return f"order {order.id}"


def ship(orders: Stream[Order], dead: ErrorHandler) -> Stream[str]:
    """Every form of a pattern in a flow."""
    shipped = orders | "Shipped" >> Filter(is_shipped).with_error_handler(dead)
    few = shipped | Filter(by_id(3)) | "Lambda" >> Filter(lambda order: order.id > 0 and order.shipped)
    big = few | "Big" >> Filter(is_big).with_error_handler(dead).with_breaker(0.5, of_last=10)
    columns = big | "Columns" >> Filter(pc.field("id") >= 3)
    once: Stream[Order] = columns | Dedupe(lambda order: order.id, within=60)
    split = once | Splitter(email=lambda order: order.by == "email", sms=by_id(2)).with_result(Sent)
    texts = split.sms | "Text" >> Map(text_of).with_error_handler(dead)
    email, _, otherwise = split
    archive, mail = email | Copier("archive", "mail").with_result(Copies)
    named = otherwise | Splitter.by(lambda order: order.by, "e-mail", "DE-BY")
    parts = (named["e-mail"], named.otherwise, archive, mail) | Merger()
    first, second = parts | Sharder(2, key=lambda order: order.id)
    tagged = {"first": first, "second": second} | "Tag" >> Merger().with_source_names()
    lengths: Stream[int] = texts | Map(len)
    _ = (lengths, tagged) | "All" >> Join()
    _ = [lengths] | "Total" >> Sum(value=1, key=lambda number: "all")
    _ = tagged | "Longest" >> Reduce(operator.add, key=("id", lambda pair: pair[0]))
    _ = tagged | Histogram(value="id", key="by", bins=(0, 10)).with_fanout(3)
    return texts


def build(p: beam.Pipeline, options: MyOptions) -> None:
    """A pipeline between files and queues."""
    with ErrorHandler(DeadLetters() | "Park" >> WriteToQueue("memory://dead")) as dead:
        orders = p | ReadRows(options.orders, Order).with_error_handler(dead)
        texts = ship(orders, dead)
        messages = p | ReadFromQueue("memory://in?group=g").with_error_handler(dead)
        done = messages | WorkQueue(Message.json, attempts=3) | "Written" >> WriteToQueue("memory://out")
        _ = (done, dead.output()) | CommitOffsets(messages)
    _ = texts | beam.Map(print)


build(beam.Pipeline(), MyOptions(orders="orders.csv"))
run = run_pattern(Filter(is_shipped), [Order(1, True, "sms")])
assert_conserved(run)
print(run["out"], run.counters["Filter", "in"], run.dead[0].step)
