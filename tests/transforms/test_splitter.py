"""Splitter: isolation and wrong use; what all forms share is in test_forms.py."""

from typing import Any

import apache_beam as beam
import pytest

from beam_patterns.transforms import Splitter
from tests.running import Lists, Run

ORDERS = [{"id": 1, "tell": ["email", "sms"]}, {"id": 2, "tell": ["sms"]}, {"id": 3, "tell": []}]


def mark(order: dict[str, Any], channel: str) -> dict[str, Any]:
    """Work that changes its item."""
    order["told"] = channel
    return order


@pytest.mark.parametrize(
    "source", [lambda: beam.Create(ORDERS), lambda: Lists(ORDERS, dict)], ids=["elements", "lists"]
)
def test_every_match_isolates_the_branches_as_a_copier_does(pipeline: Any, source: Any) -> None:
    splitter = Splitter(
        email=lambda order: "email" in order["tell"], sms=lambda order: "sms" in order["tell"]
    ).with_every_match()

    def graph(p: Any, dead: Any) -> dict[str, Any]:
        split = p | source() | splitter
        return {name: branch | f"Tell {name}" >> beam.Map(mark, name) for name, branch in split._asdict().items()}

    run = Run(pipeline, graph)
    told = {name: [(order["id"], order["told"]) for order in run[name]] for name in ("email", "sms", "otherwise")}
    assert {name: sorted(pairs) for name, pairs in told.items()} == {
        "email": [(1, "email")],
        "sms": [(1, "sms"), (2, "sms")],
        "otherwise": [(3, "otherwise")],
    }


def test_a_key_that_is_no_branch_goes_to_otherwise_and_one_that_raises_to_the_dead_letters() -> None:
    splitter = Splitter.by(lambda order: order["tell"][0], "email")
    run = Run(
        lambda: beam.Pipeline("FnApiRunner"),
        lambda p, dead: (p | beam.Create(ORDERS) | splitter.with_error_handler(dead))._asdict(),
    )
    assert [order["id"] for order in run["email"]] == [1]
    assert [order["id"] for order in run["otherwise"]] == [2]
    assert [letter.error_type for letter in run.dead] == ["IndexError"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Splitter(), "at least 1 branches, got 0"),
        (lambda: Splitter(otherwise=bool), "'otherwise' is the branch of what matches no case"),
        (lambda: Splitter(out=bool), "'out' can't name a branch"),
        (lambda: Splitter.by(str, "a").with_every_match(), "sends an element to one branch"),
    ],
)
def test_wrong_names_are_refused_at_construction(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("make", [lambda: Splitter(email="yes"), lambda: Splitter.by("channel", "email")])
def test_what_can_not_be_asked_is_refused_at_construction(make: Any) -> None:
    with pytest.raises(TypeError, match="function of one element"):
        make()


def test_a_case_may_be_called_self_or_label() -> None:
    assert Splitter(self=bool, label=bool)._names == ("self", "label", "otherwise")
