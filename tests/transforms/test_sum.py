"""Sum: exact for any order, batches, partial sums and form of the elements."""

import random
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from apache_beam.metrics.monitoring_infos import extract_counter_value
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.typehints import Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import ElementError, Sum
from beam_patterns.transforms.combine.sums import Add, Number, SumCollector
from beam_patterns.transforms.queues import Message
from tests import SOAK
from tests.running import Lists, Tables


class Sale(NamedTuple):
    region: str
    day: int
    cents: int
    weight: Optional[float]  # noqa: UP045 (what Beam schemas understand)


SCHEMA = pa.schema([("region", pa.string()), ("day", pa.int64()), ("cents", pa.int64()), ("weight", pa.float64())])
SALES = [
    Sale("north", 1, 1010, 0.5),
    Sale("south", 1, 500, None),
    Sale("north", 1, 2020, 1.5),
    Sale("north", 2, -1, 2.0),
]
NUMBERS = st.one_of(st.integers(), st.decimals(-(10**20), 10**20, places=4))


def region_of(sale: Sale) -> str:
    return sale.region


def forms(sales: Sequence[Sale]) -> list[beam.PTransform]:
    return [beam.Create(list(sales)).with_output_types(Sale), Lists(sales, Sale, 2), Tables(sales, Sale, SCHEMA, 2)]


@pytest.mark.parametrize("form", range(3))
def test_every_form_gives_the_same_sums_and_counts(pipeline: Any, form: int) -> None:
    run = run_pattern(Sum(value=("cents", "weight", 1), key=("region", "day")), forms(SALES)[form], pipeline)
    assert sorted(run["out"]) == [
        (("north", 1), (3030, 2.0, 2)),
        (("north", 2), (-1, 2.0, 1)),
        (("south", 1), (500, 0, 1)),
    ]
    assert (run.counters["Sum", "in"], run.counters["Sum", "out"]) == (4, 4)


@pytest.mark.parametrize("form", range(3))
@pytest.mark.parametrize(
    "sum_",
    [
        Sum(value="cents", key="region"),
        Sum(value=pc.field("cents"), key=pc.field("region")),
        Sum(value=lambda sale: sale.cents, key=region_of),
        Sum(value="cents", key="region").with_fanout(3),
        Sum(value="cents", key="region").with_fanout(lambda region: 4 if region == "north" else 0),
    ],
    ids=["names", "expressions", "functions", "fanout", "fanout by key"],
)
def test_a_value_may_be_a_column_an_expression_or_a_function(form: int, sum_: Sum) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        assert_that(p | forms(SALES)[form] | sum_, equal_to([("north", 3029), ("south", 500)]))


@pytest.mark.parametrize("form", range(3))
def test_null_adds_nothing_and_is_counted_as_dropped(form: int) -> None:
    run = run_pattern(Sum(value="weight", key="region"), forms(SALES)[form])
    assert run["out"] == [("north", 4.0)]
    assert [run.counters["Sum", name] for name in ("in", "out", "dropped")] == [4, 3, 1]


@pytest.mark.integration
@pytest.mark.parametrize(("form", "pairs"), [(0, 400), (1, 300), (2, 2)], ids=["elements", "lists", "tables"])
def test_only_one_partial_sum_per_key_crosses_the_shuffle(form: int, pairs: int) -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | forms(SALES * 100)[form] | Sum(value="cents", key="region")
    result = p.run()
    result.wait_until_finish()
    (pair,) = (t for t in p.to_runner_api().components.transforms.values() if t.unique_name == "Sum/Pair/Pairs")
    counted: dict[str, int] = {
        dict(info.labels)["PCOLLECTION"]: extract_counter_value(info)
        for info in result.monitoring_infos()
        if info.urn == "beam:metric:element_count:v1"
    }
    assert counted[pair.outputs["None"]] == pairs  # Tables are reduced for as long as the bundle lasts.
    lifted = [n for name, n in counted.items() if not name.startswith("ref_")]  # What the runner has added.
    assert lifted == [2, 2, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), NUMBERS)), st.randoms(use_true_random=False))
def test_any_order_and_any_partial_merges_give_exactly_the_same_sum(pairs: list[Any], chance: random.Random) -> None:
    operation = Add()
    partials: dict[str, list[Any]] = defaultdict(list)
    chance.shuffle(pairs)
    for key, number in pairs:
        partials[key].append(operation.add_input(operation.create_accumulator(), number))
    for key, accumulators in partials.items():
        while len(accumulators) > 1:
            chance.shuffle(accumulators)
            cut = chance.randint(2, len(accumulators))
            accumulators[:cut] = [operation.merge_accumulators(accumulators[:cut])]
        digits = 10**4
        exact = sum(
            int(number * digits) if isinstance(number, int) else _scaled(number) for k, number in pairs if k == key
        )
        (total,) = accumulators
        assert (total * digits if isinstance(total, int) else _scaled(total)) == exact


def _scaled(number: Decimal) -> int:
    sign, numerals, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    whole = int("".join(map(str, numerals))) * 10 ** (exponent + 4)
    return -whole if sign else whole


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-(2**63), 2**63 - 1)), min_size=1), st.integers(1, 9))
def test_a_column_of_integers_never_wraps_around(pairs: list[tuple[str, int]], size: int) -> None:
    collector = SumCollector(single_key=True, single_value=True)
    for start in range(0, len(pairs), size):
        keys, values = zip(*pairs[start : start + size], strict=True)
        collector.add([pa.chunked_array([keys])], [pa.chunked_array([pa.array(values, pa.int64())])])
    expected: dict[str, int] = defaultdict(int)
    for key, number in pairs:
        expected[key] += number
    assert dict(collector.pairs()) == expected


def test_a_column_of_decimals_stays_exact() -> None:
    collector = SumCollector(single_key=True, single_value=True)
    amounts = pa.array([Decimal("0.10")] * 3 + [Decimal(10) ** 35], pa.decimal128(38, 2))
    collector.add([pa.chunked_array([["a"] * 4])], [pa.chunked_array([amounts])])
    assert list(collector.pairs()) == [("a", Decimal("1" + "0" * 35 + ".30"))]


def test_sums_beyond_64_bits_cross_the_shuffle(pipeline: Any) -> None:
    with pipeline() as p:
        totals = p | beam.Create([("a", 2**63 - 1)] * 3, reshuffle=False) | Sum()
        assert_that(totals, equal_to([("a", 3 * (2**63 - 1))]))


@pytest.mark.integration
@settings(max_examples=6 * SOAK, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(2**60), 2**60)), max_size=20),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_partial_sums_of_any_split_merge_to_the_same_sum(pairs: list[tuple[str, int]], size: int, streams: int) -> None:
    expected: dict[str, int] = defaultdict(int)
    for key, number in pairs:
        expected[key] += number
    with beam.Pipeline("FnApiRunner") as p:
        parts = {
            str(i): p | f"P{i}" >> Lists(pairs[i::streams], Tuple[str, int], size) | f"S{i}" >> Sum()
            for i in range(streams)
        }
        assert_that(parts | Sum(), equal_to(list(expected.items())))


def test_a_value_that_is_not_a_number_is_a_dead_letter_and_costs_only_itself(pipeline: Any) -> None:
    run = run_pattern(Sum(), Lists([("a", 1), ("a", "two"), ("a", 3)], Tuple[str, Any]), pipeline)
    assert run["out"] == [("a", 4)]
    assert [letter.error_message for letter in run.dead] == ["the value 'two' is not a number"]
    assert [run.counters["Sum", name] for name in ("in", "out", "dropped", "dead")] == [3, 2, 0, 1]


def test_a_key_function_that_raises_on_a_row_of_a_table_costs_only_that_row() -> None:
    def inverse(sale: Sale) -> float:
        return 1 / (sale.day - 2)

    run = run_pattern(Sum(value="cents", key=inverse), Tables(SALES, Sale, SCHEMA))
    assert run["out"] == [(-1.0, 3530)]
    assert [letter.error_type for letter in run.dead] == ["ZeroDivisionError"]


def test_without_a_handler_the_run_fails_with_a_sentence() -> None:
    sentence = r"Sum.*key or value raised TypeError: the value 'x' is not a number, on \('a'"
    with pytest.raises(ElementError, match=sentence), beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([("a", "x")], reshuffle=False) | Sum()


def test_messages_are_summed_by_the_fields_of_their_json() -> None:
    messages = [Message.of({"user": "ann", "n": 2}), Message.of({"user": "ann", "n": 3})]
    with beam.Pipeline("FnApiRunner") as p:
        totals = p | Lists(messages, Message) | Sum(value="n", key="user").with_view(Message.json)
        assert_that(totals, equal_to([("ann", 5)]))


def test_element_types_are_set() -> None:
    p = beam.Pipeline("FnApiRunner")
    rows = p | Tables(SALES, Sale, SCHEMA)
    assert (rows | "One" >> Sum(value="cents", key="region")).element_type == Tuple[str, Number]
    both = rows | "Two" >> Sum(value=("cents", 1), key=("region", "day"))
    assert both.element_type == Tuple[Tuple[str, int], Tuple[Number, Number]]


@pytest.mark.integration
@pytest.mark.parametrize("sum_", [Sum(), Sum().with_fanout(3)], ids=["plain", "fanout"])
def test_windows_fire_with_their_own_sums_and_late_values_count_if_lateness_is_allowed(
    streaming: Any, sum_: Sum
) -> None:
    stream = (
        Stream(coder=beam.coders.registry.get_coder(Tuple[str, int]))
        .advance_watermark_to(0)
        .add_elements([TimestampedValue(("a", 1), 1), TimestampedValue(("a", 2), 11)])
        .advance_watermark_to(10)
        .add_elements([TimestampedValue(("a", 100), 2)])
        .advance_watermark_to_infinity()
    )
    lenient = beam.WindowInto(
        FixedWindows(10),
        trigger=AfterWatermark(late=AfterCount(1)),
        accumulation_mode=AccumulationMode.ACCUMULATING,
        allowed_lateness=30,
    )

    def flow(values: Any, dead: Any) -> dict[str, Any]:
        strict = values | "Strict" >> beam.WindowInto(FixedWindows(10)) | "In time" >> sum_
        return {"strict": strict, "lenient": values | "Lenient" >> lenient | "Late too" >> sum_}

    run = run_pattern(flow, stream, streaming)
    assert sorted(run["strict"]) == [("a", 1), ("a", 2)]
    assert set(run["lenient"]) == {("a", 1), ("a", 101), ("a", 2)}  # A runner may fire again without anything new.


def test_an_unbounded_input_in_the_global_window_raises_value_error() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(
        ValueError, match=r"Sum: the input .* is unbounded .* put `beam.WindowInto\(FixedWindows\(60\)\)`"
    ):
        _ = p | Stream() | Sum()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Sum(value="n"), r"Sum\(value='n', key=None\) needs both"),
        (lambda: Sum(value=True, key="k"), r"Sum\(value=...\) accepts a column's name, .* not True"),
        (lambda: Sum(value=(), key="k"), r"Sum\(value=...\) is empty"),
        (lambda: Sum().with_fanout(0), r"with_fanout needs a number of at least 1, .* not 0"),
        (lambda: beam.Pipeline() | Tables(SALES, Sale, SCHEMA) | Sum(value=1, key="town"), "no column 'town'"),
    ],
)
def test_wrong_use_raises_at_construction(wrong: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrong()
