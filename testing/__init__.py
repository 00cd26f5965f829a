"""What flows made of patterns are tested with.

run_pattern(transform, items)  runs a transform on a few items: a list per output, dead letters, the balance
assert_conserved(result)       nothing went in that did not come out, was dropped, lies dead or was a duplicate
chaos(pipeline)                delivers elements again and in another order, and runs every bundle twice
"""

from .chaotic import chaos
from .conserved import assert_conserved
from .pattern_run import Outputs, run_pattern

__all__ = ["Outputs", "assert_conserved", "chaos", "run_pattern"]
