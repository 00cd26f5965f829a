"""Tools to test flows that are made of patterns.

run_pattern(transform, items)  runs a transform on a few items: a list per output, dead letters, the balance
assert_conserved(result)       fails unless every element came out, was dropped, is a dead letter or a duplicate
chaos(pipeline)                delivers elements twice and in another order, and runs every bundle twice
"""

from .chaotic import chaos
from .conserved import assert_conserved
from .pattern_run import Outputs, run_pattern

__all__ = ["Outputs", "assert_conserved", "chaos", "run_pattern"]
