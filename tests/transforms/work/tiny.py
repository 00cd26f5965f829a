"""Many tiny items: `python -m tests.transforms.work.tiny 20000` prints their count and the peak of memory in MB."""

import resource
import sys
from collections.abc import Iterable

import apache_beam as beam

from beam_patterns.transforms import WorkQueue


class Numbers(beam.DoFn):
    """The numbers below a count, without a list of them."""

    def process(self, count: int) -> Iterable[int]:
        return range(count)


def main(count: int) -> None:
    """Runs the pipeline."""
    with beam.Pipeline("FnApiRunner") as p:
        numbers = p | beam.Create([count]) | beam.ParDo(Numbers())
        done = numbers | WorkQueue(abs).with_workers(2) | beam.combiners.Count.Globally()
        _ = done | beam.Map(print)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    from tests.transforms.work import tiny

    tiny.main(int(sys.argv[1]))
