"""Tools to test pipelines made of patterns.

run_pattern(transform, items)  runs a transform on a few items: a list per output, dead letters, the balance
assert_conserved(result)       checks in = out + dropped + dead + duplicates at every pattern
chaos(pipeline)                delivers elements again and in another order, and runs every bundle twice
"""

from .chaotic import chaos
from .conserved import assert_conserved
from .pattern_run import Outputs, run_pattern

__all__ = ["Outputs", "assert_conserved", "chaos", "run_pattern"]
