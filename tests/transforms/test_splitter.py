"""Splitter: names, isolation and wrong use. The laws of all routing patterns are tested in base/test_routing.py."""

from typing import Any, NamedTuple

import apache_beam as beam
import pytest

from beam_patterns.testing import assert_conserved, run_pattern
from beam_patterns.transforms import Merger, Reduce, Splitter, Stream
from tests.running import Lists

ORDERS = [{"id": 1, "by": ["email", "sms"]}, {"id": 2, "by": ["sms"]}, {"id": 3, "by": []}]


def mark(order: dict[str, Any], channel: str) -> dict[str, Any]:
    """Work that changes its item."""
    order["sent"] = channel
    return order


@pytest.mark.parametrize("source", [ORDERS, Lists(ORDERS, dict)], ids=["elements", "lists"])
def test_every_match_isolates_the_branches_as_a_copier_does(pipeline: Any, source: Any) -> None:
    splitter = Splitter(
        email=lambda order: "email" in order["by"], sms=lambda order: "sms" in order["by"]
    ).with_every_match()

    def flow(orders: Any, dead: Any) -> dict[str, Any]:
        split = orders | splitter
        return {name: branch | f"Send {name}" >> beam.Map(mark, name) for name, branch in split._asdict().items()}

    run = run_pattern(flow, source, pipeline)
    sent = {name: sorted((order["id"], order["sent"]) for order in run[name]) for name in run}
    assert sent == {
        "email": [(1, "email")],
        "sms": [(1, "sms"), (2, "sms")],
        "otherwise": [(3, "otherwise")],
    }


@pytest.mark.integration
def test_a_key_without_a_branch_goes_to_otherwise_and_a_key_that_raises_to_the_dead_letters() -> None:
    run = run_pattern(Splitter.by(lambda order: order["by"][0], "email"), ORDERS)
    assert [order["id"] for order in run["email"]] == [1]
    assert [order["id"] for order in run["otherwise"]] == [2]
    assert [letter.error_type for letter in run.dead] == ["IndexError"]


#: What names of data look like: also names of Beam's main output, of Python's tuple and of its keywords.
NAMES = [
    "DE-BY",
    "1",
    "0",
    "e-mail",
    "None",
    "'None'",
    "count",
    "class",
    "_fields",
    "a/b",
    "a b",
    "a.b",
    " ",
    "zoé",
    "☂",
]


def found(split: Any) -> dict[str, Any]:
    """The branches by name, as a user gets them."""
    return {name: split[name] for name in split._fields}


@pytest.mark.integration
@pytest.mark.parametrize("source", [NAMES, Lists(NAMES, str)], ids=["elements", "lists"])
def test_names_may_be_any_text(pipeline: Any, source: Any) -> None:
    run = run_pattern(lambda items, dead: found(items | Splitter.by(str, *NAMES[1:])), source, pipeline)
    assert {name: run[name] for name in run} == {**{name: [name] for name in NAMES[1:]}, "otherwise": ["DE-BY"]}
    counted = {name: number for (pattern, name), number in run.counters.items() if pattern == "Splitter" and number}
    assert counted == {**dict.fromkeys(NAMES[1:], 1), "otherwise": 1, "in": len(NAMES), "out": len(NAMES)}
    assert_conserved(run)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_may_be_the_first_case(name: str) -> None:
    split = Splitter(**{name: lambda number: number < 2, "small": lambda number: number < 4})
    run = run_pattern(lambda items, dead: found(items | split), Lists(range(6), int))
    assert (run[name], run["small"], run["otherwise"]) == ([0, 1], [2, 3], [4, 5])


def test_names_that_are_python_names_are_attributes_and_all_names_are_keys() -> None:
    split = beam.Pipeline("FnApiRunner") | beam.Create([1]) | Splitter(**{"e-mail": bool, "sms": bool, "count": bool})
    assert split._fields == ("e-mail", "sms", "count", "otherwise")
    assert split.sms is split["sms"] is split[1]
    assert split.count is split["count"]
    first, *_, last = split
    assert (first, last) == (split["e-mail"], split.otherwise)
    with pytest.raises(KeyError, match="no branch is named 'email'; the branches are 'e-mail', 'sms', 'count', 'oth"):
        split["email"]


def test_beam_shows_the_branches_of_a_composite_by_their_names() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create(["a"]) | "Split" >> Splitter.by(str, "DE-BY", "None", "1")
    (step,) = (t for t in p.to_runner_api().components.transforms.values() if t.unique_name == "Split")
    assert sorted(step.outputs) == ["1", "DE-BY", "None", "otherwise"]
    assert len(set(step.outputs.values())) == 4


@pytest.mark.integration
def test_a_fan_in_gets_the_names_of_the_branches(pipeline: Any) -> None:
    named = run_pattern(Splitter.by(str, *NAMES) | Merger().with_source_names(), NAMES, pipeline)
    assert sorted(named["out"]) == sorted((name, name) for name in NAMES)
    counted = run_pattern(Splitter.by(str, *NAMES) | Reduce(max, key=len), NAMES, pipeline)
    assert sorted(key for key, _ in counted["out"]) == sorted({len(name) for name in NAMES})


class Sent(NamedTuple):
    """A result with types."""

    otherwise: Stream[dict[str, Any]]
    email: Stream[dict[str, Any]]


def test_the_result_may_be_a_named_tuple_class_of_the_users() -> None:
    splitter = Splitter(email=lambda order: "email" in order["by"])
    p = beam.Pipeline("FnApiRunner")
    split = p | beam.Create(ORDERS) | splitter.with_result(Sent)
    assert type(split) is Sent
    run = run_pattern(splitter.with_result(Sent), ORDERS)
    assert [order["id"] for order in run["email"]] == [1]
    assert [order["id"] for order in run["otherwise"]] == [2, 3]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (Sent, r"fields email, sms, otherwise, not <class '.*Sent'> \(otherwise, email\)"),
        (dict, r"fields email, sms, otherwise, not <class 'dict'> \(without fields\)"),
        ("Sent", r"fields email, sms, otherwise, not 'Sent' \(without fields\)"),
    ],
)
def test_a_result_with_other_fields_raises_type_error_at_construction(result: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=f"Splitter: with_result needs a NamedTuple class with the {sentence}"):
        Splitter(email=bool, sms=bool).with_result(result)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Splitter(), "Splitter needs at least 1 branches, got 0"),
        (lambda: Splitter(otherwise=bool), "'otherwise' is the branch of elements that match no case"),
        (
            lambda: Splitter(out=bool),
            "'out' can't be the name of a branch; use any text that is not empty, except in, ",
        ),
        (lambda: Splitter(duplicates=bool), "'duplicates' can't be the name of a branch"),
        (lambda: Splitter(**{"dead-letters": bool}), "'dead-letters' can't be the name of a branch"),
        (lambda: Splitter(**{"": bool}), "'' can't be the name of a branch"),
        (lambda: Splitter.by(str, "a", "a"), "two branches have the name 'a'"),
        (lambda: Splitter.by(str, "a").with_every_match(), "sends an element to one branch"),
    ],
)
def test_wrong_names_raise_value_error_at_construction(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("make", [lambda: Splitter(email="yes"), lambda: Splitter.by("channel", "email")])
def test_anything_but_a_function_raises_type_error_at_construction(make: Any) -> None:
    with pytest.raises(TypeError, match="function of one element"):
        make()


def test_a_case_may_have_the_name_self_or_label() -> None:
    assert Splitter(self=bool, label=bool)._names == ("self", "label", "otherwise")
