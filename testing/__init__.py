"""Tools to test pipelines made of patterns.

run_pattern(transform, items)  runs a transform on a few items: a list per output, dead letters, the balance
assert_conserved(result)       checks in = out + dropped + dead + duplicates at every pattern
chaos(pipeline)                delivers elements again and in another order, and runs every bundle twice
queue_contract(uri)            a kind of queue, yours or built-in, keeps the laws that pipelines rely on
"""

from .chaotic import chaos
from .conserved import assert_conserved
from .pattern_run import Outputs, run_pattern
from .queue_contract import queue_contract

__all__ = ["Outputs", "assert_conserved", "chaos", "queue_contract", "run_pattern"]
