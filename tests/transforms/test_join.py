"""Join by key: items that wait for their parts, in bounded runs and in streams."""

import random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows
from apache_beam.typehints import Tuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import ElementError, Join, Joined
from tests import SOAK
from tests.running import Lists
from tests.streams import Stamp, bounded, item_of, part_of, stream


def test_an_item_passes_when_a_part_from_each_input_is_there(pipeline: Any) -> None:
    with pipeline() as p:
        plates = p | "Plates" >> beam.Create([("car1", "B-X"), ("car2", "B-Y")])
        colors = p | "Colors" >> beam.Create([("car2", "red"), ("car1", "blue")])
        joined = {"plate": plates, "color": colors} | Join(key=item_of)
        assert joined.element_type is Joined
        assert_that(
            joined,
            equal_to(
                [
                    Joined("car1", {"color": ("car1", "blue"), "plate": ("car1", "B-X")}, ()),
                    Joined("car2", {"color": ("car2", "red"), "plate": ("car2", "B-Y")}, ()),
                ]
            ),
        )


@pytest.mark.integration
@settings(max_examples=8 * SOAK, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4), max_size=4),
    st.integers(1, 3),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_each_complete_item_passes_exactly_once_under_duplicates_and_reordering(
    items: dict[str, int], copies: int, size: int, chance: random.Random
) -> None:
    parts = [(item, f"{n}/{number}") for item, number in items.items() for n in range(number) for _ in range(copies)]
    chance.shuffle(parts)
    join = Join(key=item_of, part=part_of, expected=lambda pair: int(pair[1].split("/")[1]))
    run = run_pattern(join, Lists(parts, Tuple[str, str], size))
    assert sorted((j.key, list(j.parts.values()), j.missing) for j in run["out"]) == [
        (item, [(item, f"{n}/{number}") for n in range(number)], ()) for item, number in sorted(items.items())
    ]
    total = sum(items.values())
    assert [run.counters["Join", n] for n in ("in", "out", "duplicates")] == [
        total * copies,
        total,
        total * (copies - 1),
    ]


PARTS = [("a", "plate"), ("a", "color"), ("b", "color"), ("b", "color")]
NAMED = Join(key=item_of, part=part_of, expected=["plate", "color"])


def test_an_item_that_is_incomplete_at_the_end_fails_the_run_and_names_the_missing_parts() -> None:
    sentence = r"the item 'b' lacks plate at its deadline; present: color. Add .with_partial_groups\(\)"
    with pytest.raises(ElementError, match=sentence), bounded() as p:
        _ = p | beam.Create(PARTS) | NAMED


def test_the_parts_of_an_item_that_is_incomplete_at_the_end_are_dead_letters(pipeline: Any) -> None:
    run = run_pattern(NAMED, PARTS, pipeline)
    assert [(j.key, j.missing) for j in run["out"]] == [("a", ())]
    (letter,) = run.dead
    assert letter.error_message == "the item 'b' lacks plate at its deadline; present: color"
    assert dict(letter.attributes) == {"readable": b'["b","color"]'}
    counted = [run.counters["Join", name] for name in ("in", "out", "duplicates", "dead", "dropped")]
    assert counted == [4, 2, 1, 1, 0]


def test_partial_groups_pass_and_name_the_missing_parts(pipeline: Any) -> None:
    with pipeline() as p:
        joined = p | beam.Create(PARTS) | NAMED.with_partial_groups()
        assert_that(
            joined,
            equal_to(
                [
                    Joined("a", {"color": ("a", "color"), "plate": ("a", "plate")}, ()),
                    Joined("b", {"color": ("b", "color")}, ("plate",)),
                ]
            ),
        )


def test_if_only_the_number_of_parts_is_known_the_number_of_missing_parts_is_reported() -> None:
    with bounded() as p:
        join = Join(key=item_of, part=part_of, expected=3).with_partial_groups()
        assert_that(
            p | beam.Create(PARTS[:2]) | join | beam.Map(lambda joined: joined.missing), equal_to([("1 of 3",)])
        )


@pytest.mark.integration
def test_in_a_stream_an_item_passes_at_once_when_complete_and_partial_at_its_deadline(streaming: Any) -> None:
    events = [(("a", "plate"), 0), (("b", "plate"), 1), (("a", "color"), 2), 61, (("c", "plate"), 70)]
    with streaming() as p:
        joined = p | stream(*events) | NAMED.with_deadline(60).with_partial_groups()
        assert_that(
            joined | beam.ParDo(Stamp()) | beam.Map(lambda s: (s[0].key, s[0].missing, s[1])),
            equal_to([("a", (), 2.0), ("b", ("color",), 61.0), ("c", ("color",), 130.0)]),
        )


@pytest.mark.integration
def test_a_late_part_is_counted_and_goes_to_the_dead_letters(streaming: Any) -> None:
    events = [(("a", "plate"), 0), 60, (("a", "color"), 1), (("a", "plate"), 2)]
    join = NAMED.with_deadline(60).with_partial_groups()
    run = run_pattern(join, stream(*events), streaming)
    assert [(j.key, j.missing) for j in run["out"]] == [("a", ("color",))]
    (letter,) = run.dead
    assert letter.error_message == "the part color of the item 'a' arrived after the item had passed without it"
    counted = {name: run.counters["Join", name] for name in ("in", "out", "late", "dead", "duplicates")}
    assert counted == {"in": 3, "out": 1, "late": 1, "dead": 1, "duplicates": 1}


@pytest.mark.integration
def test_a_late_part_without_a_handler_is_dropped_and_counted(streaming: Any) -> None:
    events = [(("a", "plate"), 0), 60, (("a", "color"), 1)]
    join = NAMED.with_deadline(60).with_partial_groups()
    run = run_pattern(lambda parts, dead: parts | join, stream(*events), streaming)
    assert [(j.key, j.missing) for j in run["out"]] == [("a", ("color",))]
    counted = {name: run.counters["Join", name] for name in ("in", "out", "late", "dropped", "dead")}
    assert counted == {"in": 2, "out": 1, "late": 1, "dropped": 1, "dead": 0}


@pytest.mark.integration
def test_an_item_is_forgotten_after_another_deadline_so_that_memory_is_bounded(streaming: Any) -> None:
    events = [(("a", "plate"), 0), (("a", "color"), 1), 62, (("a", "plate"), 100), (("a", "color"), 101)]
    with streaming() as p:
        joined = p | stream(*events) | NAMED.with_deadline(60) | beam.Map(lambda j: (j.key, j.missing))
        assert_that(joined, equal_to([("a", ()), ("a", ())]))


@pytest.mark.integration
def test_in_windows_an_item_is_complete_within_its_window_or_partial_at_its_end(streaming: Any) -> None:
    events = [(("a", "plate"), 1), (("a", "color"), 2), (("b", "plate"), 3), 10, (("b", "color"), 12)]
    with streaming() as p:
        windowed = p | stream(*events) | beam.WindowInto(FixedWindows(10))
        joined = windowed | NAMED.with_partial_groups() | beam.Map(lambda j: (j.key, j.missing))
        assert_that(joined, equal_to([("a", ()), ("b", ("color",)), ("b", ("plate",))]))


def test_an_element_whose_key_raises_costs_only_itself(pipeline: Any) -> None:
    run = run_pattern(Join(key=lambda pair: pair[0]), ([("a", 1), None], [("a", 2)]), pipeline)
    assert run["out"] == [Joined("a", {"0": ("a", 1), "1": ("a", 2)}, ())]
    assert [letter.error_type for letter in run.dead] == ["TypeError"]
    assert [run.counters["Join", name] for name in ("in", "out", "dead")] == [3, 2, 1]


def test_an_unbounded_input_in_the_global_window_needs_a_key_and_a_deadline() -> None:
    p = bounded()
    endless = p | Stream(coder=beam.coders.registry.get_coder(Tuple[str, str]))
    sentence = r"Join: the input 0 is unbounded .* put `beam.WindowInto\(FixedWindows\(60\)\)` before it"
    with pytest.raises(ValueError, match=sentence):
        _ = (endless,) | "1" >> Join()
    with pytest.raises(ValueError, match="is unbounded"):
        _ = endless | "2" >> NAMED
    assert (endless | "3" >> NAMED.with_deadline(60)).element_type is Joined


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda p: Join(expected=2), r"Join\(expected=..., part=...\) needs key="),
        (lambda p: Join(key="id"), r"Join\(key=...\) must be a function of one element, not 'id'"),
        (lambda p: Join(key=len, expected=0), r"a number of at least 1 or a list of names, not 0"),
        (lambda p: Join().with_deadline(5), r"needs Join\(key=...\)"),
        (lambda p: Join(key=len).with_deadline(0), r"with_deadline\(0\): give a number of seconds above 0"),
        (lambda p: Join().with_partial_groups(), r"without a key there are no groups"),
        (lambda p: p | beam.Create([1]) | Join(key=len, expected=2), r"single PCollection needs part="),
        (lambda p: p | beam.Create([1]) | Join(key=len, part=str), r"Join\(part=...\) needs expected="),
    ],
)
def test_wrong_use_raises_at_construction(wrong: Any, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        wrong(bounded())
