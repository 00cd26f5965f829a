"""Copier: isolation and its arguments; what all forms share is in test_forms.py."""

from typing import Any

import apache_beam as beam
import pytest

from beam_patterns.transforms import Copier
from tests.running import Lists, Run

ITEMS = [{"name": "a.mp4", "steps": []}, {"name": "b.mp4", "steps": []}]


def mark(item: dict[str, Any], step: str) -> dict[str, Any]:
    """Work that changes its item."""
    item["steps"].append(step)
    return item


def marked(copies: Any) -> dict[str, Any]:
    """Each branch marks its elements."""
    return {name: branch | f"Mark {name}" >> beam.Map(mark, name) for name, branch in copies._asdict().items()}


@pytest.mark.parametrize("source", [lambda: beam.Create(ITEMS), lambda: Lists(ITEMS, dict)], ids=["elements", "lists"])
def test_a_branch_that_changes_its_element_does_not_change_what_another_sees(pipeline: Any, source: Any) -> None:
    run = Run(pipeline, lambda p, dead: marked(p | source() | Copier("uhd", "mobile", "thumb")))
    for branch in ("uhd", "mobile", "thumb"):
        seen = sorted((item["name"], item["steps"]) for item in run[branch])
        assert seen == [("a.mp4", [branch]), ("b.mp4", [branch])]


def test_with_shared_elements_all_branches_see_the_same_object() -> None:
    items = [{"name": "a.mp4", "steps": []}]
    run = Run(
        lambda: beam.Pipeline("FnApiRunner"),
        lambda p, dead: marked(p | Lists(items, dict) | Copier("uhd", "mobile").with_shared_elements()),
    )
    marks = sorted((run["uhd"][0]["steps"], run["mobile"][0]["steps"]), key=len)
    assert [len(steps) for steps in marks] == [1, 2], "the branch that came later sees the other's mark"


def test_with_methods_return_a_copy() -> None:
    copier = Copier("a", "b")
    assert copier.with_shared_elements() is not copier
    assert copier._isolate


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("one",), r"at least 2 branches, got 1: 'one'"),
        (("a", "a"), r"'a' is named twice"),
        (("a", "my branch"), r"'my branch' can't name a branch"),
        (("a", "class"), r"'class' can't name a branch"),
        (("a", "_b"), r"'_b' can't name a branch"),
        (("a", "dead"), r"'dead' can't name a branch"),
    ],
)
def test_names_that_are_no_fields_are_refused_at_construction(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Copier(*names)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="named by a string, not 3"):
        Copier("a", 3)  # type: ignore[arg-type]
