"""Reduce: the same result for any order, split, form and number of partial merges."""

import operator
import random
from collections import Counter
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints import Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import ElementError, Reduce, Splitter
from beam_patterns.transforms.combine.merge import FunctionMerge
from tests import SOAK
from tests.running import Lists, Tables

from .test_sum import SALES, SCHEMA, Sale, forms

WORDS = st.lists(st.tuples(st.sampled_from(["the", "a", "of"]), st.integers(1, 100)), max_size=20)


def more_expensive(one: Sale, other: Sale) -> Sale:
    """The sale with more cents."""
    return max(one, other, key=operator.attrgetter("cents"))


@pytest.mark.integration
@pytest.mark.parametrize("form", range(3))
@pytest.mark.parametrize("fanout", [None, 2])
def test_every_form_gives_the_same_element_per_key(pipeline: Any, form: int, fanout: int | None) -> None:
    reduce = Reduce(more_expensive, key="region")
    run = run_pattern(reduce.with_fanout(fanout) if fanout else reduce, forms(SALES)[form], pipeline)
    assert sorted(run["out"]) == [("north", SALES[2]), ("south", SALES[1])]
    assert (run.counters["Reduce", "in"], run.counters["Reduce", "out"]) == (4, 4)


@given(WORDS, st.randoms(use_true_random=False))
def test_any_order_and_any_partial_merges_give_the_same(words: list[tuple[str, int]], chance: random.Random) -> None:
    merge = FunctionMerge(lambda a, b: {**a, **{word: a.get(word, 0) + n for word, n in b.items()}})
    parts = [merge.add_input(merge.create_accumulator(), {word: n}) for word, n in words]
    while len(parts) > 1:
        chance.shuffle(parts)
        cut = chance.randint(2, len(parts))
        parts[:cut] = [merge.merge_accumulators([merge.create_accumulator(), *parts[:cut]])]
    expected: Counter[str] = Counter()
    for word, n in words:
        expected[word] += n
    assert parts == ([dict(expected)] if words else [])


@pytest.mark.integration
@settings(max_examples=5 * SOAK, deadline=None)
@given(WORDS, st.integers(1, 5), st.integers(1, 3))
def test_it_merges_its_own_output_for_any_split_of_the_input(
    words: list[tuple[str, int]], size: int, streams: int
) -> None:
    expected: Counter[str] = Counter()
    for word, n in words:
        expected[word] += n
    with beam.Pipeline("FnApiRunner") as p:
        parts = [
            p | f"P{i}" >> Lists(words[i::streams], Tuple[str, int], size) | f"R{i}" >> Reduce(operator.add)
            for i in range(streams)
        ]
        assert_that(parts | Reduce(operator.add), equal_to(list(expected.items())))


@pytest.mark.parametrize("form", range(3))
def test_a_combine_fn_has_the_same_results_as_in_beam(form: int) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        sizes = p | forms(SALES)[form] | Reduce(beam.combiners.CountCombineFn(), key="region")
        assert_that(sizes, equal_to([("north", 3), ("south", 1)]))


def test_the_result_of_a_fan_out_is_an_input() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        split = p | beam.Create([1, 2, 3, 4]) | Splitter(even=lambda n: n % 2 == 0)
        assert_that(split | Reduce(operator.mul, key=lambda n: "all"), equal_to([("all", 24)]))


def test_none_adds_nothing() -> None:
    run = run_pattern(Reduce(operator.add), Lists([("a", 1), ("a", None)], Tuple[str, Any]))
    assert run["out"] == [("a", 1)]
    assert [run.counters["Reduce", name] for name in ("in", "out", "dropped")] == [2, 1, 1]


def test_an_element_whose_key_raises_costs_only_itself(pipeline: Any) -> None:
    run = run_pattern(Reduce(operator.add, key=lambda n: 4 // n % 2), Lists([1, 0, 2, 4], int), pipeline)
    assert sorted(run["out"]) == [(0, 3), (1, 4)]
    assert [letter.payload for letter in run.dead] == [b"\x00"]
    assert [run.counters["Reduce", name] for name in ("in", "out", "dead")] == [4, 3, 1]


def test_without_a_handler_the_run_fails_with_a_sentence() -> None:
    with (
        pytest.raises(ElementError, match=r"Reduce.*raised ZeroDivisionError: .*, on 0"),
        beam.Pipeline("FnApiRunner") as p,
    ):
        _ = p | beam.Create([0], reshuffle=False) | Reduce(operator.add, key=lambda n: 1 / n)


def test_types_follow_the_input() -> None:
    p = beam.Pipeline("FnApiRunner")
    counted = p | Lists([("a", 1)], Tuple[str, int]) | "One" >> Reduce(operator.add)
    assert counted.element_type == Tuple[str, int]
    rows = p | "T" >> Tables(SALES, Sale, SCHEMA) | "Two" >> Reduce(more_expensive, key=("region", "day"))
    assert rows.element_type.tuple_types[0] == Tuple[str, int]


def test_wrong_use_raises_type_error_at_construction() -> None:
    with pytest.raises(
        TypeError, match=r"Reduce\(merge\) must be a function of two elements or a beam.CombineFn, not 5"
    ):
        Reduce(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Reduce\(key=...\) accepts a column's name, .* not 1.5"):
        Reduce(operator.add, key=1.5)


def test_a_table_whose_key_is_null_keeps_the_group() -> None:
    schema = pa.schema([("region", pa.string()), *list(SCHEMA)[1:]])
    with beam.Pipeline("FnApiRunner") as p:
        rows = p | Tables([Sale("a", 1, 5, None), Sale("a", 1, 7, None)], Sale, schema)
        assert_that(rows | Reduce(more_expensive, key="weight"), equal_to([(None, Sale("a", 1, 7, None))]))
