"""The range of what is read without end, and how runners may divide it."""

from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker

from .queue import Split

__all__ = ["ENDLESS", "Endless"]

ENDLESS = 2**63 - 1


class Endless(beam.transforms.core.RestrictionProvider):
    """From where a Split begins; from 0 for any other element."""

    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(*element[1:]) if isinstance(element, Split) else OffsetRange(0, ENDLESS)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return _Tracker(restriction)

    def restriction_size(self, unused_element: Any, restriction: OffsetRange) -> int:
        return 1 if restriction.start < restriction.stop else 0


class _Tracker(OffsetRestrictionTracker):
    """Stops where it is, but never in the middle of what is yet to come: half of an endless range is endless too."""

    def try_split(self, fraction_of_remainder: float) -> Any:
        return super().try_split(0) if fraction_of_remainder == 0 else None

    def is_bounded(self) -> bool:
        return False
