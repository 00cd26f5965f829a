"""How much there is to read, for whoever watches a run."""

from .counters import step_counters

__all__ = ["NAMESPACE", "READ", "TO_READ", "Progress"]

NAMESPACE, TO_READ, READ = "beam_patterns.progress", "to_read", "read"


class Progress:
    """A source's offsets, or bytes of files; to be made where Beam knows the step (see counters.py)."""

    def __init__(self) -> None:
        self._to_read, self._read = step_counters(NAMESPACE, (TO_READ, READ))

    def announce(self, units: int) -> None:
        """There are so many."""
        self._to_read.inc(units)

    def passed(self, units: int) -> int:
        """So many more are done."""
        self._read.inc(units)
        return units
