"""Filter: views and wrong use; what all forms share is in test_forms.py."""

from typing import Any

import apache_beam as beam
import pyarrow.compute as pc
import pytest

from beam_patterns.transforms import Filter
from beam_patterns.transforms.queues import Message

from .running import Lists, Run

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
