"""Join without a key: nothing leaves a window before every input has finished it."""

from collections import namedtuple
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Dedupe, Join, Sum
from beam_patterns.transforms.queues import Message
from tests.running import Lists
from tests.streams import Stamp, bounded, item_of, stream

ORDER: list[str] = []


def note(element: Any, name: str) -> Any:
    """Records the order of events."""
    ORDER.append(f"{name} {element}")
    return element


def test_nothing_passes_the_barrier_before_every_input_has_finished(pipeline: Any) -> None:
    ORDER.clear()
    with pipeline() as p:
        work = {
            name: p | f"C{name}" >> beam.Create([1, 2, 3], reshuffle=False) | f"Work {name}" >> beam.Map(note, name)
            for name in ("blur", "tag")
        }
        for name, passed in (work | Join()).items():
            _ = passed | f"After {name}" >> beam.Map(note, f"after {name}")
    done = [entry for entry in ORDER if not entry.startswith("after")]
    assert sorted(ORDER[: len(done)]) == sorted(done)
    assert sorted(ORDER[len(done) :]) == sorted(f"after {name} {i}" for name in ("blur", "tag") for i in (1, 2, 3))


Both = namedtuple("Both", ["left", "right"])


@pytest.mark.parametrize(
    "shape", [lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: {"left": a, "right": b}, lambda a, b: Both(a, b)]
)
def test_the_barrier_returns_the_inputs_in_the_shape_they_came_in(shape: Any) -> None:
    with bounded() as p:
        a, b = p | "A" >> beam.Create([1, 2]), p | "B" >> beam.Create(["x"])
        given_ = shape(a, b)
        passed = given_ | Join()
        assert type(passed) is type(given_)
        if isinstance(passed, dict):
            assert list(passed) == ["left", "right"]
        one, other = passed.values() if isinstance(passed, dict) else passed
        assert (one.element_type, other.element_type) == (int, str)
        assert_that(one, equal_to([1, 2]), "one")
        assert_that(other, equal_to(["x"]), "other")


def test_a_single_input_waits_for_itself(pipeline: Any) -> None:
    with pipeline() as p:
        assert_that(p | beam.Create([1, 2]) | Join(), equal_to([1, 2]))


def test_batches_of_messages_pass_whole_and_are_counted(pipeline: Any) -> None:
    messages = [Message(b"%d" % i, key=b"k") for i in range(20)]
    run = run_pattern(Join(), (Lists(messages, Message), [1]), pipeline)
    assert sorted(run[0]) == sorted(messages)
    assert run[1] == [1]
    assert (run.counters["Join", "in"], run.counters["Join", "out"]) == (21, 21)


def test_timestamps_and_windows_pass_the_barrier_unchanged(pipeline: Any) -> None:
    with pipeline() as p:
        stamped = p | beam.Create([3, 14]) | beam.Map(lambda t: TimestampedValue(t, t)).with_output_types(int)
        windowed = stamped | beam.WindowInto(FixedWindows(10))
        assert_that((windowed,) | Join() | _first() | beam.ParDo(Stamp()), equal_to([(3, 3.0, 0.0), (14, 14.0, 10.0)]))


class _first(beam.PTransform):  # noqa: N801
    def expand(self, many: Any) -> Any:
        return many[0]


@pytest.mark.integration
def test_in_a_stream_a_window_opens_when_the_slowest_input_has_finished_it(streaming: Any) -> None:
    ORDER.clear()
    with streaming() as p:
        windowed = p | stream(("a", 1), ("b", 12), 10, ("c", 13), typ=str) | beam.WindowInto(FixedWindows(10))
        before = windowed | "Before" >> beam.Map(note, "before")
        (passed,) = (before,) | Join()
        _ = passed | "After" >> beam.Map(note, "after")
    assert ORDER.index("after a") > ORDER.index("before a")
    assert ORDER.index("after b") > ORDER.index("before c")


def test_inputs_in_different_windows_raise_value_error() -> None:
    p = bounded()
    a = p | "A" >> beam.Create([1]) | "WA" >> beam.WindowInto(FixedWindows(10))
    b = p | "B" >> beam.Create([1]) | "WB" >> beam.WindowInto(SlidingWindows(10, 5))
    with pytest.raises(ValueError, match=r"Join: the inputs 0 and 1 are windowed differently, .* put the same"):
        _ = (a, b) | Join()


def test_no_label_of_the_patterns_with_several_inputs_is_the_name_of_a_class() -> None:
    p = bounded()
    a, b = p | "A" >> beam.Create([("k", 1)]), p | "B" >> beam.Create([("k", 2)])
    _ = (a, b) | "Barrier" >> Join()
    _ = (a, b) | "Items" >> Join(key=item_of)
    _ = (a, b) | "Sum" >> Sum()
    _ = (a, b) | "Fan" >> Sum().with_fanout(2)
    _ = a | "Once" >> Dedupe(item_of)
    labels = [t.unique_name for t in p.to_runner_api().components.transforms.values()]
    ours = [label for label in labels if label.split("/")[0] in ("Barrier", "Items", "Sum", "Fan", "Once")]
    # CombinePerKey's own inner step is Beam's, and the same in every pipeline.
    assert sorted(label for label in ours if "(" in label) == [
        f"{combine}/Combine/ParDo(CombineValuesDoFn)" for combine in ("Fan/Merge/Parts", "Fan/Merge/Whole", "Sum/Merge")
    ]
