"""The restriction of an endless read: offsets without an end, which runners may checkpoint but not halve."""

from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator

from .queue import Split

__all__ = ["MAX_OFFSET", "TRACKER", "WATERMARK", "UnboundedOffsets"]

MAX_OFFSET = 2**63 - 1


class UnboundedOffsets(beam.transforms.core.RestrictionProvider):
    """Offsets from the start of a Split, or from 0 for any other element."""

    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(*element[1:]) if isinstance(element, Split) else OffsetRange(0, MAX_OFFSET)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return _Tracker(restriction)

    def restriction_size(self, unused_element: Any, restriction: OffsetRange) -> int:
        return 1 if restriction.start < restriction.stop else 0


class _Tracker(OffsetRestrictionTracker):
    """Splits at the current offset only: each half of an endless range would be endless too."""

    def try_split(self, fraction_of_remainder: float) -> Any:
        return super().try_split(0) if fraction_of_remainder == 0 else None

    def is_bounded(self) -> bool:
        return False


#: Default arguments of the `process` method of an endless splittable DoFn.
TRACKER = beam.DoFn.RestrictionParam(UnboundedOffsets())
WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())
