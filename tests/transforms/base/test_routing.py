"""The laws that every routing pattern keeps, in every form of its elements and on every runner."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Copier, Filter, Merger, Sharder, Splitter
from beam_patterns.transforms.queues import Message
from tests import SOAK
from tests.running import Lists, Tables


class Order(NamedTuple):
    """A row with a column that may be null."""

    number: int
    tell: Optional[str]  # noqa: UP045 (what Beam schemas understand)
    amount: float


SCHEMA = pa.schema(
    [pa.field("number", pa.int64(), False), ("tell", pa.string()), pa.field("amount", pa.float64(), False)]
)
ORDERS = [Order(i, ("email", "sms", "fax", None)[i % 4], i / 2) for i in range(50)]


def elements(orders: list[Order]) -> beam.PTransform:
    """Orders one by one."""
    return beam.Create(orders).with_output_types(Order)


def lists(orders: list[Order]) -> beam.PTransform:
    """Orders in lists."""
    return Lists(orders, Order)


def tables(orders: list[Order]) -> beam.PTransform:
    """Orders in Arrow tables."""
    return Tables(orders, Order, SCHEMA)


Form = Callable[[list[Order]], beam.PTransform]
forms = pytest.mark.parametrize("form", [elements, lists, tables])
few = settings(max_examples=6 * SOAK, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def numbers(orders: list[Order]) -> list[int]:
    """The numbers of the orders."""
    return sorted(order.number for order in orders)


def by_mail(order: Order) -> bool:
    """A predicate of a row."""
    return order.tell == "email"


MAIL = [by_mail, pc.field("tell") == "email"]


@forms
@pytest.mark.parametrize("keep", MAIL, ids=["function", "expression"])
def test_filter_keeps_the_same_elements_in_every_form(pipeline: Any, form: Form, keep: Any) -> None:
    run = run_pattern(Filter(keep), form(ORDERS), pipeline)
    assert sorted(run["out"]) == [order for order in ORDERS if order.tell == "email"]
    counted = {name: run.counters["Filter", name] for name in ("in", "out", "dropped", "dead")}
    assert counted == {"in": 50, "out": 13, "dropped": 37, "dead": 0}


@forms
@pytest.mark.parametrize("email", MAIL, ids=["function", "expression"])
def test_splitter_sends_each_element_to_the_first_case_that_holds(pipeline: Any, form: Form, email: Any) -> None:
    run = run_pattern(Splitter(email=email, small=pc.field("amount") < 5), form(ORDERS), pipeline)
    assert numbers(run["email"]) == [i for i in range(50) if i % 4 == 0]
    assert numbers(run["small"]) == [i for i in range(10) if i % 4 != 0]
    assert numbers(run["otherwise"]) == [i for i in range(10, 50) if i % 4 != 0]
    assert [run.counters["Splitter", name] for name in ("in", "out", "email", "small", "otherwise")] == [
        50,
        50,
        13,
        7,
        30,
    ]


@forms
@pytest.mark.parametrize("email", MAIL, ids=["function", "expression"])
def test_splitter_with_every_match_sends_an_element_to_all_cases_that_hold(
    pipeline: Any, form: Form, email: Any
) -> None:
    split = Splitter(email=email, small=pc.field("amount") < 5).with_every_match()
    run = run_pattern(split, form(ORDERS), pipeline)
    assert numbers(run["email"]) == [i for i in range(50) if i % 4 == 0]
    assert numbers(run["small"]) == list(range(10))
    assert numbers(run["otherwise"]) == [i for i in range(10, 50) if i % 4 != 0]
    assert [run.counters["Splitter", name] for name in ("in", "out", "email", "small")] == [50, 50, 13, 10]


@forms
def test_splitter_with_one_case_sends_each_element_there_or_to_otherwise_unless_it_raises(
    pipeline: Any, form: Form
) -> None:
    split = Splitter(odd=lambda order: breaks_on_17(order) and order.number % 2)
    run = run_pattern(split, form(ORDERS), pipeline)
    assert numbers(run["odd"]) == [i for i in range(1, 50, 2) if i != 17]
    assert numbers(run["otherwise"]) == list(range(0, 50, 2))
    assert [letter.error_message for letter in run.dead] == ["never 17"]
    assert [run.counters["Splitter", name] for name in ("in", "odd", "otherwise", "dead")] == [50, 24, 25, 1]


@forms
def test_splitter_by_key_sends_each_element_to_the_branch_of_that_name(pipeline: Any, form: Form) -> None:
    split = Splitter.by(lambda order: order.tell, "email", "sms")
    run = run_pattern(split, form(ORDERS), pipeline)
    assert numbers(run["sms"]) == [i for i in range(50) if i % 4 == 1]
    assert numbers(run["otherwise"]) == [i for i in range(50) if i % 4 > 1]


@forms
@pytest.mark.parametrize("key", ["number", lambda order: order.number], ids=["column", "function"])
def test_sharder_sends_each_key_to_the_shard_that_place_returns(pipeline: Any, form: Form, key: Any) -> None:
    sharder = Sharder(3, key=key)
    run = run_pattern(sharder, form(ORDERS), pipeline)
    for shard in range(3):
        assert numbers(run[shard]) == [i for i in range(50) if sharder.place(i) == shard]


@forms
def test_copier_gives_every_branch_every_element(pipeline: Any, form: Form) -> None:
    run = run_pattern(Copier("uhd", "mobile"), form(ORDERS), pipeline)
    assert sorted(run["uhd"]) == sorted(run["mobile"]) == ORDERS
    assert [run.counters["Copier", name] for name in ("in", "out", "uhd", "mobile")] == [50, 50, 50, 50]


@pytest.mark.parametrize("first", [elements, lists, tables])
@pytest.mark.parametrize("second", [elements, lists, tables])
def test_merger_passes_every_element_once_in_any_mix_of_forms(pipeline: Any, first: Form, second: Form) -> None:
    run = run_pattern(Merger(), (first(ORDERS[:20]), second(ORDERS[20:])), pipeline)
    assert sorted(run["out"]) == ORDERS
    assert (run.counters["Merger", "in"], run.counters["Merger", "out"]) == (50, 50)


@forms
def test_an_element_that_raises_becomes_one_dead_letter_and_the_others_arrive(pipeline: Any, form: Form) -> None:
    run = run_pattern(
        lambda orders, dead: orders | "Check" >> Filter(breaks_on_17).with_error_handler(dead), form(ORDERS), pipeline
    )
    assert numbers(run["out"]) == [i for i in range(50) if i != 17]
    (letter,) = run.dead
    assert (letter.step, letter.error_type, letter.error_message) == ("Check", "ValueError", "never 17")
    assert dict(letter.attributes)["readable"] == b'{"number":17,"tell":"sms","amount":8.5}'
    assert "raise ValueError" in letter.traceback
    assert (run.counters["Filter", "in"], run.counters["Filter", "out"], run.counters["Filter", "dead"]) == (50, 49, 1)


@forms
def test_without_a_handler_the_run_fails_with_the_element_in_the_message(pipeline: Any, form: Form) -> None:
    with pytest.raises(Exception, match=r"breaks_on_17 raised ValueError: never 17, on .*number=17"):
        run_pattern(lambda orders, dead: orders | Filter(breaks_on_17), form(ORDERS), pipeline)


def breaks_on_17(order: Order) -> bool:
    """A predicate with a defect."""
    if order.number == 17:
        raise ValueError("never 17")
    return True


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
messages = st.builds(
    Message,
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(st.text(), st.binary()), max_size=2).map(tuple),
    st.none() | st.floats(0, 4e9),
    st.none() | st.tuples(st.text(), st.integers(0, 9), st.integers(0, 2**60)),
)


def multiset(things: list[Any]) -> Counter[str]:
    """The things without their order."""
    return Counter(map(repr, things))


def is_odd(thing: Any) -> bool:
    """A criterion for anything."""
    return len(repr(thing)) % 2 == 1


def key_of(thing: Any) -> str:
    """A key for anything."""
    return repr(thing)


def law_of_conservation(source: beam.PTransform, things: list[Any]) -> None:
    """Checks that in = out, through all five patterns in a row."""

    def flow(items: Any, dead: Any) -> dict[str, Any]:
        copies = items | Copier("one", "two")
        split = copies.one | Splitter(odd=is_odd).with_every_match()
        shards = split.otherwise | Sharder(3, key=key_of)
        merged = (split.odd, *shards) | Merger()
        return {"merged": merged, "odd": copies.two | Filter(is_odd)}

    run = run_pattern(flow, source)
    assert multiset(run["merged"]) == multiset(things)
    assert multiset(run["odd"]) == multiset([thing for thing in things if is_odd(thing)])


@pytest.mark.integration
@few
@given(st.lists(anything, max_size=20))
def test_nothing_is_lost_or_duplicated_element_by_element(things: list[Any]) -> None:
    law_of_conservation(beam.Create(things), things)


@pytest.mark.integration
@few
@given(st.lists(anything, max_size=20), st.integers(1, 9))
def test_nothing_is_lost_or_duplicated_in_lists_of_anything(things: list[Any], size: int) -> None:
    law_of_conservation(Lists(things, Any, size), things)


@pytest.mark.integration
@few
@given(st.lists(messages, max_size=20), st.integers(1, 9))
def test_nothing_is_lost_or_duplicated_in_lists_of_messages(things: list[Message], size: int) -> None:
    law_of_conservation(Lists(things, Message, size), things)
