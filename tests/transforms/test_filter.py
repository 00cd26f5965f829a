"""Filter: views and wrong use. The laws of all routing patterns are tested in base/test_routing.py."""

from typing import Any

import apache_beam as beam
import pyarrow.compute as pc
import pytest

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import Message
from tests.running import Lists

SIGN_UPS = [
    Message(b'{"user": "ann", "opt_in": true}'),
    Message(b'{"user": "bob", "opt_in": false}'),
    Message(b"{oops"),
]


@pytest.mark.parametrize("source", [SIGN_UPS, Lists(SIGN_UPS, Message)], ids=["elements", "lists"])
def test_the_predicate_gets_the_view_and_the_message_passes_unchanged(source: Any) -> None:
    run = run_pattern(Filter(lambda sign_up: sign_up["opt_in"]).with_view(Message.json), source)
    assert run["out"] == [SIGN_UPS[0]]
    (letter,) = run.dead
    assert (letter.payload, letter.error_type) == (b"{oops", "orjson.JSONDecodeError")


def at_its_end(number: int) -> int:
    """A view of ten numbers that raises StopIteration on three of them, as an exhausted iterator does."""
    if number in (0, 4, 9):
        raise StopIteration
    return number


@pytest.mark.parametrize(
    ("pattern", "output"),
    [
        (Filter(at_its_end), "out"),
        (Filter(bool).with_view(at_its_end), "out"),
        (Splitter(any=at_its_end), "any"),
        (Splitter(any=bool).with_view(at_its_end), "any"),
    ],
    ids=["predicate", "view", "case", "view of cases"],
)
def test_elements_after_user_code_that_raises_stop_iteration_are_not_lost(pattern: Any, output: str) -> None:
    run = run_pattern(pattern, Lists(range(10), int, size=10))
    assert run[output] == [1, 2, 3, 5, 6, 7, 8]
    assert [letter.error_type for letter in run.dead] == ["StopIteration"] * 3


VIEWED: list[int] = []


def viewed(number: int) -> int:
    """A view that records its calls."""
    VIEWED.append(number)
    return number


def below(limit: int) -> Any:
    """A predicate that fails on 3."""
    return lambda number: number < limit // (number - 3)


def test_a_pattern_downstream_of_a_filter_with_the_same_view_uses_the_filters_views() -> None:
    VIEWED.clear()
    even = Filter(lambda number: number % 2 == 0).with_view(viewed)
    small = Filter(lambda number: number < 8).with_view(viewed)
    split = Splitter(low=lambda number: number < 6).with_view(viewed)
    run = run_pattern("Even" >> even | small | split, Lists(range(20), int))
    assert (run["low"], run["otherwise"]) == ([0, 2, 4], [6])
    assert list(range(20)) == VIEWED


def test_views_stay_with_their_elements_when_some_fail() -> None:
    first = Filter(below(100)).with_view(viewed)
    second = Filter(lambda number: 1 // (number - 5) <= 1).with_view(viewed)
    split = Splitter(low=lambda number: number < 5).with_view(viewed)

    def flow(numbers: Any, dead: Any) -> Any:
        kept = numbers | "First" >> first.with_error_handler(dead)
        return kept | "Second" >> second.with_error_handler(dead) | split

    run = run_pattern(flow, Lists(range(10), int, size=10))
    assert (run["low"], run["otherwise"]) == ([4], [6, 7, 8, 9])
    assert sorted(dict(letter.attributes)["readable"] for letter in run.dead) == [b"3", b"5"]


@pytest.mark.integration
def test_an_expression_on_dicts_is_evaluated_one_by_one() -> None:
    run = run_pattern(Filter(pc.field("age") >= 18), [{"age": 17}, {"age": 18}, {"age": None}])
    assert run["out"] == [{"age": 18}]


def test_an_expression_that_is_not_boolean_is_named_in_the_error() -> None:
    (letter,) = run_pattern(Filter(pc.field("age") + 1), [{"age": 17}]).dead
    assert letter.error_message == (
        "the expression add_checked(age, 1) is of type int64, not boolean; compare it with something"
    )


def test_anything_but_a_predicate_raises_type_error_at_construction() -> None:
    with pytest.raises(TypeError, match=r"Filter\(keep\) must be a function .* not 'shipped'"):
        Filter("shipped")  # type: ignore[arg-type]


def test_anything_but_a_view_raises_type_error_at_construction() -> None:
    with pytest.raises(TypeError, match=r"with_view needs a function .* not 'json'"):
        Filter(bool).with_view("json")  # type: ignore[arg-type]


def test_several_pcollections_raise_type_error_that_names_the_fix() -> None:
    with pytest.raises(
        TypeError, match=r"Filter takes one PCollection, not tuple; merge several with Merger\(\) first"
    ):
        p = beam.Pipeline("FnApiRunner")
        _ = (p | "A" >> beam.Create([1]), p | "B" >> beam.Create([2])) | Filter(bool)


def test_the_output_has_the_type_of_the_input() -> None:
    p = beam.Pipeline("FnApiRunner")
    assert (p | Lists([Message(b"")], Message) | Filter(bool)).element_type is Message


def test_labels_are_stable_words() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1]) | "Opted in" >> Filter(bool)
    labels = [label for label in p.applied_labels if "Opted in" in label]
    assert sorted(labels) == ["Opted in", "Opted in/Keep", "Opted in/Keep/Route"]
