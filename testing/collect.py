"""Elements of a pipeline that runs in this process, as a list."""

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
    """Keeps what arrives; once the pipeline has run, `elements` has it.

    >>> seen = Collect()
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create([1, 2]) | seen
    >>> seen.elements
    [1, 2]

    The list is made as a whole at the end, so a bundle that is run twice does not show twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._place = next(_PLACES)

    @property
    def elements(self) -> list[Any]:
        """All elements, in the order in which the runner handed them over."""
        return _COLLECTED.get(self._place, [])

    def expand(self, elements: PCollection) -> PCollection:
        """Nothing comes out."""
        return (
            elements
            | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, elements.element_type])
            # Said in words, as Beam refuses the default trigger for a stream, even for a TestStream, which ends.
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
