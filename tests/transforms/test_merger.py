"""Merger: names, types and wrong use. The laws of all routing patterns are tested in base/test_routing.py."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.typehints import Union

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Copier, Merger
from beam_patterns.transforms.queues import Message
from tests.running import Lists

MESSAGES = [Message(b"%d" % i, key=b"k", attributes=(("n", b"%d" % i),), source=("q", 0, i)) for i in range(20)]


def test_the_result_of_a_fan_out_is_an_input_with_the_names_of_its_branches(pipeline: Any) -> None:
    run = run_pattern(Copier("a", "b") | Merger().with_source_names(), Lists([1, 2], int), pipeline)
    assert sorted(run["out"]) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_messages_arrive_whole_across_the_stage_boundary(pipeline: Any) -> None:
    run = run_pattern(Merger(), {"a": Lists(MESSAGES[:10], Message), "b": Lists(MESSAGES[10:], Message)}, pipeline)
    assert sorted(run["out"]) == sorted(MESSAGES)
    assert {type(message) for message in run["out"]} == {Message}


def test_different_types_give_their_union() -> None:
    p = beam.Pipeline("FnApiRunner")
    merged = (p | "A" >> Lists([1], int), p | "B" >> Lists(["x"], str)) | Merger()
    assert merged.element_type == Union[int, str]


def test_one_type_stays_that_type_and_stays_in_batches() -> None:
    p = beam.Pipeline("FnApiRunner")
    merged: Any = (p | "A" >> Lists(MESSAGES, Message), p | "B" >> Lists(MESSAGES, Message)) | Merger()
    assert merged.element_type is Message
    assert merged.producer.transform.fn.output_batch_converter is not None


def test_windows_pass_unchanged(pipeline: Any) -> None:
    def flow(numbers: Any, dead: Any) -> Any:
        stamped = numbers | beam.Map(lambda n: beam.window.TimestampedValue(n, n))
        windows = stamped | beam.WindowInto(beam.window.FixedWindows(60))
        merged = (windows, windows | "Negative" >> beam.Map(lambda n: -n)) | Merger()
        return merged | beam.combiners.Count.Globally().without_defaults()

    assert sorted(run_pattern(flow, Lists([1, 61, 62], int), pipeline)["out"]) == [2, 4]


@pytest.mark.parametrize("inputs", [(), [], {}, (1, 2)])
def test_anything_but_pcollections_raises_type_error_that_names_the_fix(inputs: Any) -> None:
    with pytest.raises(TypeError, match=r"Merger needs a tuple, list, dict or NamedTuple of PCollections"):
        Merger().expand(inputs)


def test_two_keys_that_are_the_same_text_raise_type_error_instead_of_losing_an_input() -> None:
    p = beam.Pipeline("FnApiRunner")
    one, other = p | "A" >> beam.Create([1]), p | "B" >> beam.Create([2])
    with pytest.raises(TypeError, match="with different names"):
        _ = {1: one, "1": other} | Merger()


def test_one_pcollection_raises_type_error_that_names_the_fix() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(TypeError, match=r"write `\(a, b\) \| Merger\(\.\.\.\)`"):
        _ = p | beam.Create([1]) | Merger()


def test_there_is_no_user_code_to_handle() -> None:
    assert not hasattr(Merger(), "with_error_handler")
    assert not hasattr(Merger(), "with_breaker")
