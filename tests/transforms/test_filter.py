"""Filter: views and wrong use; what all forms share is in test_forms.py."""

from typing import Any

import apache_beam as beam
import pyarrow.compute as pc
import pytest

from beam_patterns.transforms import Filter, Splitter
from beam_patterns.transforms.queues import Message
from tests.running import Lists, Run

SIGN_UPS = [
    Message(b'{"user": "ann", "opt_in": true}'),
    Message(b'{"user": "bob", "opt_in": false}'),
    Message(b"{oops"),
]


def on_fnapi() -> beam.Pipeline:
    """In this process."""
    return beam.Pipeline("FnApiRunner")


@pytest.mark.parametrize(
    "source", [lambda: beam.Create(SIGN_UPS), lambda: Lists(SIGN_UPS, Message)], ids=["elements", "lists"]
)
def test_the_predicate_sees_the_view_and_the_message_passes_untouched(source: Any) -> None:
    kept = Filter(lambda sign_up: sign_up["opt_in"]).with_view(Message.json)
    run = Run(on_fnapi, lambda p, dead: {"kept": p | source() | kept.with_error_handler(dead)})
    assert run["kept"] == [SIGN_UPS[0]]
    (letter,) = run.dead
    assert (letter.payload, letter.error_type) == (b"{oops", "orjson.JSONDecodeError")


def at_its_end(number: int) -> int:
    """A view of ten numbers, which fails on three of them as a generator that has come to its end."""
    if number in (0, 4, 9):
        raise StopIteration
    return number


@pytest.mark.parametrize(
    "asked",
    [
        Filter(at_its_end),
        Filter(bool).with_view(at_its_end),
        Splitter(any=at_its_end),
        Splitter(any=bool).with_view(at_its_end),
    ],
    ids=["predicate", "view", "case", "view of cases"],
)
def test_user_code_that_raises_stop_iteration_ends_nothing(asked: Any) -> None:
    def build(p: Any, dead: Any) -> dict[str, Any]:
        output = p | Lists(range(10), int, size=10) | asked.with_error_handler(dead)
        return {"kept": output if isinstance(asked, Filter) else output.any}

    run = Run(on_fnapi, build)
    assert run["kept"] == [1, 2, 3, 5, 6, 7, 8]
    assert [letter.error_type for letter in run.dead] == ["StopIteration"] * 3


VIEWED: list[int] = []


def viewed(number: int) -> int:
    """Tells what it was asked for."""
    VIEWED.append(number)
    return number


def below(limit: int) -> Any:
    """A predicate that fails on 3."""
    return lambda number: number < limit // (number - 3)


def test_a_pattern_behind_a_filter_with_the_same_view_sees_what_the_filter_saw() -> None:
    VIEWED.clear()
    even, small = Filter(lambda number: number % 2 == 0).with_view(viewed), Filter(lambda number: number < 8)
    split = Splitter(low=lambda number: number < 6).with_view(viewed)

    def build(p: Any, dead: Any) -> dict[str, Any]:
        return (p | Lists(range(20), int) | "Even" >> even | small.with_view(viewed) | split)._asdict()

    run = Run(on_fnapi, build)
    assert (run["low"], run["otherwise"]) == ([0, 2, 4], [6])
    assert list(range(20)) == VIEWED


def test_views_stay_with_their_elements_when_some_fail() -> None:
    first = Filter(below(100)).with_view(viewed)
    second = Filter(lambda number: 1 // (number - 5) <= 1).with_view(viewed)

    def build(p: Any, dead: Any) -> dict[str, Any]:
        kept = p | Lists(range(10), int, size=10) | "First" >> first.with_error_handler(dead)
        split = Splitter(low=lambda number: number < 5).with_view(viewed)
        return (kept | "Second" >> second.with_error_handler(dead) | split)._asdict()

    run = Run(on_fnapi, build)
    assert (run["low"], run["otherwise"]) == ([4], [6, 7, 8, 9])
    assert sorted(dict(letter.attributes)["readable"] for letter in run.dead) == [b"3", b"5"]


def test_an_expression_on_dicts_is_evaluated_one_by_one() -> None:
    source = beam.Create([{"age": 17}, {"age": 18}, {"age": None}])
    run = Run(on_fnapi, lambda p, dead: {"kept": p | source | Filter(pc.field("age") >= 18)})
    assert run["kept"] == [{"age": 18}]


def test_an_expression_that_is_not_boolean_is_named_in_the_error() -> None:
    with pytest.raises(Exception, match=r"add_checked\(age, 1\) is of type int64, not boolean"):
        Run(on_fnapi, lambda p, dead: {"kept": p | beam.Create([{"age": 17}]) | Filter(pc.field("age") + 1)})


def test_what_is_no_predicate_is_refused_at_construction() -> None:
    with pytest.raises(TypeError, match=r"Filter\(keep\) must be a function .* not 'shipped'"):
        Filter("shipped")


def test_what_is_no_view_is_refused_at_construction() -> None:
    with pytest.raises(TypeError, match=r"with_view takes a function .* not 'json'"):
        Filter(bool).with_view("json")  # type: ignore[arg-type]


def test_several_pcollections_are_refused_with_the_fix() -> None:
    with pytest.raises(TypeError, match=r"Filter takes one PCollection, not tuple; gather several with Merger"):
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
