"""Copier: isolation and its arguments. The laws of all routing patterns are tested in base/test_routing.py."""

from typing import Any, NamedTuple

import apache_beam as beam
import pytest

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Copier, Stream
from tests.running import Lists

ITEMS = [{"name": "a.mp4", "steps": []}, {"name": "b.mp4", "steps": []}]


def mark(item: dict[str, Any], step: str) -> dict[str, Any]:
    """Work that changes its item."""
    item["steps"].append(step)
    return item


def marked(copies: Any) -> dict[str, Any]:
    """Each branch marks its elements."""
    return {name: branch | f"Mark {name}" >> beam.Map(mark, name) for name, branch in copies._asdict().items()}


@pytest.mark.parametrize("source", [ITEMS, Lists(ITEMS, dict)], ids=["elements", "lists"])
def test_a_branch_that_changes_its_element_does_not_change_the_element_of_another(pipeline: Any, source: Any) -> None:
    run = run_pattern(lambda items, dead: marked(items | Copier("uhd", "mobile", "thumb")), source, pipeline)
    for branch in ("uhd", "mobile", "thumb"):
        seen = sorted((item["name"], item["steps"]) for item in run[branch])
        assert seen == [("a.mp4", [branch]), ("b.mp4", [branch])]


def test_with_shared_elements_all_branches_get_the_same_object() -> None:
    items = [{"name": "a.mp4", "steps": []}]
    copier = Copier("uhd", "mobile").with_shared_elements()
    run = run_pattern(lambda items, dead: marked(items | copier), Lists(items, dict))
    marks = sorted((run["uhd"][0]["steps"], run["mobile"][0]["steps"]), key=len)
    assert [len(steps) for steps in marks] == [1, 2], "the branch that ran later gets the mark of the other"


def test_with_methods_return_a_copy() -> None:
    copier = Copier("a", "b")
    assert copier.with_shared_elements() is not copier
    assert copier._isolate


class Copies(NamedTuple):
    """A result with types."""

    uhd: Stream[str]
    mobile: Stream[str]


def test_the_result_may_be_a_named_tuple_class_of_the_users() -> None:
    run = run_pattern(Copier("mobile", "uhd").with_result(Copies), ["a.mp4"])
    assert list(run) == ["uhd", "mobile"]
    assert type(beam.Pipeline() | beam.Create([1]) | Copier("uhd", "mobile").with_result(Copies)) is Copies
    with pytest.raises(TypeError, match=r"Copier: with_result needs .* fields uhd, thumb, not .* \(uhd, mobile\)"):
        Copier("uhd", "thumb").with_result(Copies)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("one",), r"at least 2 branches, got 1: 'one'"),
        (("a", "a"), r"two branches have the name 'a'"),
        (("a", "my branch"), r"'my branch' can't be the name of a branch; use a Python name"),
        (("a", "class"), r"'class' can't be the name of a branch"),
        (("a", "_b"), r"'_b' can't be the name of a branch"),
        (("a", "dead"), r"'dead' can't be the name of a branch"),
    ],
)
def test_names_that_can_not_be_fields_raise_value_error_at_construction(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Copier(*names)


def test_a_name_that_is_not_text_raises_type_error() -> None:
    with pytest.raises(TypeError, match="the name of a branch is a string, not 3"):
        Copier("a", 3)  # type: ignore[arg-type]


def test_there_is_no_user_code_to_handle() -> None:
    assert not hasattr(Copier("a", "b"), "with_error_handler")
    assert not hasattr(Copier("a", "b"), "with_breaker")
