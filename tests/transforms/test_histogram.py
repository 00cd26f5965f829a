"""Histogram: exact bins, quantiles within the stated error, weights; for any order and partial merges."""

import random
from fractions import Fraction
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints import Tuple
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Bins, Histogram, Quantiles
from beam_patterns.transforms.combine.histogram import BinMerge, SketchMerge, _BinCollector
from tests import SOAK
from tests.running import Lists

from .test_sum import SALES, forms

EDGES = (0, 10, 100)


@pytest.mark.parametrize("form", range(3))
def test_every_form_counts_the_same_bins(pipeline: Any, form: int) -> None:
    run = run_pattern(Histogram("cents", "region", bins=(0, 1000, 2000)), forms(SALES)[form], pipeline)
    assert sorted(run["out"]) == [
        ("north", Bins((0, 1000, 2000), (1, 0, 1, 1))),
        ("south", Bins((0, 1000, 2000), (0, 1, 0, 0))),
    ]
    assert (run.counters["Histogram", "in"], run.counters["Histogram", "out"]) == (4, 4)


@pytest.mark.parametrize("form", range(3))
def test_every_form_sketches_the_same_quantiles(pipeline: Any, form: int) -> None:
    run = run_pattern(Histogram("weight", ("region", "day"), relative_error=0.01), forms(SALES)[form], pipeline)
    assert sorted((key, q.total, q.at(0.0), q.at(1.0)) for key, q in run["out"]) == [
        (("north", 1), 2, 0.5, 1.5),
        (("north", 2), 1, 2.0, 2.0),
    ]
    assert [run.counters["Histogram", name] for name in ("in", "out", "dropped")] == [4, 3, 1]


@given(st.lists(st.one_of(st.integers(-50, 150), st.floats(-50, 150))), st.randoms(use_true_random=False))
def test_any_order_and_any_partial_merges_count_the_same_bins(values: list[Any], chance: random.Random) -> None:
    operation = BinMerge(EDGES)
    parts = [operation.merged([operation.check(value)]) for value in values]
    while len(parts) > 1:
        chance.shuffle(parts)
        cut = chance.randint(2, len(parts))
        parts[:cut] = [operation.merged(parts[:cut])]
    expected = (
        sum(v < 0 for v in values),
        sum(0 <= v < 10 for v in values),
        sum(10 <= v < 100 for v in values),
        sum(v >= 100 for v in values),
    )
    assert parts == ([Bins(EDGES, expected)] if values else [])


@given(
    st.lists(st.one_of(st.floats(), st.none())),
    st.lists(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)), min_size=2, unique=True),
)
def test_a_column_is_counted_in_the_same_bins_as_its_values_one_by_one(values: list[Any], edges: list[Any]) -> None:
    edges.sort()
    collector = _BinCollector(single_key=True, edges=tuple(edges))
    column = pa.chunked_array([pa.array(values, pa.float64())])
    try:
        collector.add([pa.chunked_array([["k"] * len(values)])], [column])
    except OverflowError:  # An edge outside of the range of a float: rows are counted instead.
        return
    kept = [value for value in values if value is not None and value == value]
    assert list(collector.pairs()) == ([("k", Bins.of(kept, edges))] if kept else [])


@pytest.mark.integration
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, unique=True),
)
def test_a_column_of_large_integers_is_not_rounded(values: list[int], edges: list[int]) -> None:
    edges.sort()
    collector = _BinCollector(single_key=True, edges=tuple(edges))
    collector.add([pa.chunked_array([["k"] * len(values)])], [pa.chunked_array([pa.array(values, pa.int64())])])
    assert list(collector.pairs()) == [("k", Bins.of(values, edges))]


def test_relative_histograms_merge_by_weight_exactly(pipeline: Any) -> None:
    towns = [
        ("county", Bins.of_shares(["0.2", "0.8"], weight=30, edges=EDGES)),
        ("county", Bins.of_shares([Fraction(1, 3), Fraction(2, 3)], weight=10, edges=EDGES)),
    ]
    with pipeline() as p:
        merged = p | beam.Create(towns) | Histogram(bins=EDGES) | beam.MapTuple(lambda k, bins: (k, bins.shares()))
        assert_that(merged, equal_to([("county", (0, Fraction(28, 120), Fraction(92, 120), 0))]))


N = 20_000
DISTRIBUTIONS = {
    "ascending": np.arange(N, dtype=float),
    "descending": np.arange(N, dtype=float)[::-1],
    "organ pipes": np.concatenate([np.arange(N // 2), np.arange(N // 2)[::-1]]).astype(float),
    "one value": np.zeros(N),
    "two far values": np.array([0.0, 1e300] * (N // 2)),
    "heavy tail": (1 - np.random.default_rng(1).random(N)) ** -3,
    "steps": np.repeat(np.arange(20.0), N // 20),
    "zigzag": np.array(
        [v for pair in zip(range(N // 2), range(N, N // 2, -1), strict=True) for v in pair], dtype=float
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("parts", [1, 50])
def test_quantiles_are_within_the_stated_error_on_adversarial_distributions(name: str, parts: int) -> None:
    values, error = DISTRIBUTIONS[name], 0.02
    operation = SketchMerge(error)
    partials = [operation.merged(list(part)) for part in np.array_split(values, parts)]
    merged = operation.merged(partials)
    ordered = np.sort(values)
    misses = 0
    for share in np.linspace(0, 1, 101):
        value = merged.at(share)
        low, high = np.searchsorted(ordered, value, "left") / N, np.searchsorted(ordered, value, "right") / N
        misses += not low - error <= share <= high + error
    assert merged.relative_error <= error
    assert merged.total == N
    assert misses <= 2  # The bound holds for 99 of 100 ranks.


@pytest.mark.integration
@settings(max_examples=5 * SOAK, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(-50, 150)), max_size=30), st.integers(1, 7), st.integers(1, 3)
)
def test_it_merges_its_own_output_for_any_split_of_the_input(pairs: list[Any], size: int, streams: int) -> None:
    expected = {key: Bins.of([v for k, v in pairs if k == key], EDGES) for key in {k for k, _ in pairs}}
    with beam.Pipeline("FnApiRunner") as p:
        parts = {
            str(i): p | f"P{i}" >> Lists(pairs[i::streams], Tuple[str, int], size) | f"H{i}" >> Histogram(bins=EDGES)
            for i in range(streams)
        }
        assert_that(parts | Histogram(bins=EDGES), equal_to(list(expected.items())))


def test_sketches_merge_across_streams(pipeline: Any) -> None:
    with pipeline() as p:
        low = p | "L" >> Lists([("a", float(i)) for i in range(500)], Tuple[str, float], 100)
        high = p | "H" >> beam.Create([("a", Quantiles.of(range(500, 1000), 0.01))])
        q = (low, high) | Histogram(relative_error=0.01).with_fanout(2)
        near = q | beam.MapTuple(lambda key, q: (key, q.total, abs(q.at(0.5) - 500) <= 20, q.rank(-1.0), q.rank(1e9)))
        assert_that(near, equal_to([("a", 1000, True, 0.0, 1.0)]))


def test_a_value_that_is_not_a_number_is_a_dead_letter() -> None:
    pairs = [("a", 1.0), ("a", "x"), ("a", float("nan")), ("a", None), ("a", Bins((1, 2), (0, 0, 0)))]
    run = run_pattern(Histogram(bins=EDGES), Lists(pairs, Tuple[str, Any]))
    assert run["out"] == [("a", Bins(EDGES, (0, 1, 0, 0)))]
    assert [letter.error_message for letter in run.dead] == [
        "the value 'x' is neither a number nor a Bins",
        "these bins have the edges (1, 2), not (0, 10, 100)",
    ]
    assert [run.counters["Histogram", name] for name in ("in", "out", "dropped", "dead")] == [5, 1, 2, 2]


def test_element_types_are_the_results() -> None:
    p = beam.Pipeline("FnApiRunner")
    pairs = p | beam.Create([("a", 1)])
    assert (pairs | "B" >> Histogram(bins=EDGES)).element_type == Tuple[str, Bins]
    assert (pairs | "Q" >> Histogram(relative_error=0.1)).element_type == Tuple[str, Quantiles]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Histogram("v", "k"), "either bins="),
        (lambda: Histogram("v", "k", bins=EDGES, relative_error=0.1), "either bins="),
        (lambda: Histogram("v", bins=EDGES), "needs both, or neither"),
        (lambda: Histogram(("v", "w"), "k", bins=EDGES), "accepts one value"),
        (lambda: Histogram(bins=(5, 1)), r"Histogram\(bins=\(5, 1\)\) needs at least two edges in ascending order"),
        (lambda: Histogram(relative_error=2), r"Histogram\(relative_error=2\) must be between"),
        (lambda: Bins.of_shares(["1"], weight=1, edges=EDGES), "1 shares do not fit 3 edges, which make 2 bins"),
        (lambda: Bins.of([1], (0, 1)).merged(Bins.of([1], EDGES)), "different edges do not merge"),
    ],
)
def test_wrong_use_raises_with_a_sentence(wrong: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrong()
