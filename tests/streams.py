"""What tests of streams share: pairs as events, at times and with watermarks."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import Tuple

Pair = tuple[str, str]


def item_of(pair: Pair) -> str:
    """The item that a part is of."""
    return pair[0]


def part_of(pair: Pair) -> str:
    """Which part it is."""
    return pair[1]


def stream(*events: Any, typ: Any = Tuple[str, str]) -> Stream:
    """Elements as (value, seconds), watermarks as numbers; then the end."""
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
    """Elements with their time and the start of their window."""

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        yield element, float(timestamp), float(window.start)
