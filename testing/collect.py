"""Collects the elements of a pipeline that runs in this process."""

import itertools
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.trigger import AccumulationMode, AfterWatermark
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

__all__ = ["Collect"]

_COLLECTED: dict[int, list[Any]] = {}
_PLACES = itertools.count()


class Collect(beam.PTransform):
    """Collects its input; after the run `elements` is the list.

    >>> seen = Collect()
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create([1, 2]) | seen
    >>> seen.elements
    [1, 2]

    The list is set once, at the end of the window, so a bundle that runs twice adds nothing twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._place = next(_PLACES)

    @property
    def elements(self) -> list[Any]:
        """All elements, in the order in which the runner delivered them."""
        return _COLLECTED.get(self._place, [])

    def expand(self, elements: PCollection) -> PCollection:
        """The output is empty."""
        return (
            elements
            | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, elements.element_type])
            # Beam refuses the default trigger for a stream, even for a TestStream, which ends.
            | "Globally"
            >> beam.WindowInto(GlobalWindows(), trigger=AfterWatermark(), accumulation_mode=AccumulationMode.DISCARDING)
            | "Gather" >> beam.GroupByKey()
            | "Keep" >> beam.FlatMap(_keep, self._place).with_output_types(int)
        )


def _pair(element: Any) -> tuple[int, Any]:
    return 0, element


def _keep(group: Any, place: int) -> tuple[()]:
    _COLLECTED[place] = list(group[1])
    return ()
