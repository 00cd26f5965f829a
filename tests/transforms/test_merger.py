"""Merger: names, types and wrong use; what all forms share is in test_forms.py."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.typehints import Union

from beam_patterns.transforms import Copier, Merger
from beam_patterns.transforms.queues import Message
from tests.running import Lists, Run

MESSAGES = [Message(b"%d" % i, key=b"k", attributes=(("n", b"%d" % i),), source=("q", 0, i)) for i in range(20)]


def test_a_fan_out_pipes_straight_into_a_merger_with_the_names_of_its_branches(pipeline: Any) -> None:
    run = Run(
        pipeline,
        lambda p, dead: {"all": p | Lists([1, 2], int) | Copier("a", "b") | Merger().with_source_names()},
    )
    assert sorted(run["all"]) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_messages_arrive_whole_across_the_stage_boundary(pipeline: Any) -> None:
    sources = {"a": MESSAGES[:10], "b": MESSAGES[10:]}
    run = Run(
        pipeline,
        lambda p, dead: {"all": {n: p | n >> Lists(m, Message) for n, m in sources.items()} | Merger()},
    )
    assert sorted(run["all"]) == sorted(MESSAGES)
    assert {type(message) for message in run["all"]} == {Message}


def test_different_types_give_their_union() -> None:
    p = beam.Pipeline("FnApiRunner")
    merged = (p | "A" >> Lists([1], int), p | "B" >> Lists(["x"], str)) | Merger()
    assert merged.element_type == Union[int, str]


def test_one_type_stays_that_type_and_stays_in_batches() -> None:
    p = beam.Pipeline("FnApiRunner")
    merged = (p | "A" >> Lists(MESSAGES, Message), p | "B" >> Lists(MESSAGES, Message)) | Merger()
    assert merged.element_type is Message
    assert merged.producer.transform.fn.output_batch_converter is not None


def test_windows_pass_unchanged(pipeline: Any) -> None:
    def graph(p: Any, dead: Any) -> dict[str, Any]:
        stamped = p | Lists([1, 61, 62], int) | beam.Map(lambda n: beam.window.TimestampedValue(n, n))
        windows = stamped | beam.WindowInto(beam.window.FixedWindows(60))
        merged = (windows, windows | "Negative" >> beam.Map(lambda n: -n)) | Merger()
        counted = merged | beam.combiners.Count.Globally().without_defaults()
        return {"count": counted}

    assert sorted(Run(pipeline, graph)["count"]) == [2, 4]


@pytest.mark.parametrize("inputs", [(), [], {}, (1, 2)])
def test_what_are_no_streams_is_refused_with_the_fix(inputs: Any) -> None:
    with pytest.raises(TypeError, match=r"Merger takes a tuple, list, dict or NamedTuple of PCollections"):
        Merger().expand(inputs)


def test_one_pcollection_is_refused_with_the_fix() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(TypeError, match=r"write `\(a, b\) \| Merger\(\.\.\.\)`"):
        _ = p | beam.Create([1]) | Merger()
