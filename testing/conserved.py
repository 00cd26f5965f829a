"""The balance as an assertion."""

from typing import Any

import apache_beam as beam

from beam_patterns.transforms.balance import Balance

from .pattern_run import Outputs

__all__ = ["assert_conserved"]


def assert_conserved(run: Any, pipeline: beam.Pipeline | None = None) -> Balance:
    """Fails unless at every pattern in = out + dropped + dead + duplicates; returns the balance.

    >>> from beam_patterns.testing import run_pattern
    >>> from beam_patterns.transforms import Filter
    >>> balance = assert_conserved(run_pattern(Filter(lambda n: n > 1), [1, 2, 3]))
    >>> [(step.label, step.came, step.out, step.dropped) for step in balance.steps]
    [('Filter', 3, 2, 1)]

    Args:
        run: what `run_pattern` returned, or the result of a pipeline that has finished.
        pipeline: the pipeline of that result; needed for patterns inside your own composites, and on portable runners,
            which report steps by id.
    """
    balance = run.balance if isinstance(run, Outputs) else Balance.of(run, pipeline)
    if not balance.steps:
        raise AssertionError("no pattern counted anything in this run, so it has no balance to check")
    complaints = "; ".join(balance.complaints())
    if complaints:
        raise AssertionError(f"the balance does not close at {complaints}")
    return balance
