"""Many tiny items, to see what memory they take: `python -m tests.transforms.work.tiny 20000` prints the peak in MB."""

import resource
import sys
from collections.abc import Iterable

import apache_beam as beam

from beam_patterns.transforms import WorkQueue


class Numbers(beam.DoFn):
    """So many, without holding them."""

    def process(self, count: int) -> Iterable[int]:
        return range(count)


def main(count: int) -> None:
    """The run."""
    with beam.Pipeline("FnApiRunner") as p:
        numbers = p | beam.Create([count]) | beam.ParDo(Numbers())
        done = numbers | WorkQueue(abs).with_workers(2) | beam.combiners.Count.Globally()
        _ = done | beam.Map(print)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    from tests.transforms.work import tiny

    tiny.main(int(sys.argv[1]))
