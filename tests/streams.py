"""Helpers for tests of streams: pairs as events, with times and watermarks."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import Tuple

Pair = tuple[str, str]


def item_of(pair: Pair) -> str:
    """The item of a part."""
    return pair[0]


def part_of(pair: Pair) -> str:
    """The name of a part."""
    return pair[1]


def stream(*events: Any, typ: Any = Tuple[str, str]) -> Stream:
    """A stream of elements, given as (value, seconds), and watermarks, given as numbers; then it ends."""
    made = Stream(coder=beam.coders.registry.get_coder(typ))
    for event in events:
        if isinstance(event, tuple):
            made = made.add_elements([TimestampedValue(event[0], event[1])])
        else:
            made = made.advance_watermark_to(event)
    return made.advance_watermark_to_infinity()


def bounded() -> beam.Pipeline:
    """A pipeline on the FnApiRunner."""
    return beam.Pipeline("FnApiRunner")


class Stamp(beam.DoFn):
    """Adds their time and the start of their window to elements."""

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        yield element, float(timestamp), float(window.start)
