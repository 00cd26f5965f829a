"""Committing what was read, after the work."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from .positions import positions_of
from .queue import Position, Queue

__all__ = ["CommitOffsets"]


class CommitOffsets(beam.PTransform):
    """Moves a group's position forward, when everything that was made of its messages has been written.

    ```
    ReadFromQueue --> ... --> WriteToQueue --written--+
        |                                             v
        +-------------- positions -------------> CommitOffsets
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
    >>> writer = open_queue("memory://doc-commit").writer()
    >>> writer.write([Message(b"a")])
    >>> writer.flush()
    []
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     messages = p | ReadFromQueue("memory://doc-commit?group=doc")
    ...     written = messages | WriteToQueue("memory://doc-copy")
    ...     _ = written | CommitOffsets(messages)
    >>> list(open_queue("memory://doc-commit?group=doc").splits())
    []

    Args:
        reads: what ReadFromQueue returned, one or several.

    In: a PCollection or a tuple of them, all that must be complete first: what every WriteToQueue of the pipeline
    returned, dead letters included (`handler.output()`). A run that is killed earlier reads the same messages again.
    Out: PCollection[Position], what has been committed.
    Streaming: an unbounded read commits in bundle finalisation by itself; this step then has nothing to do.
    Failure: a commit that fails, fails the run; the messages come again.
    Source: Helland, Life beyond Distributed Transactions (at-least-once with idempotent receivers).
    """

    def __init__(self, *reads: PCollection) -> None:
        super().__init__()
        if not reads:
            raise ValueError("CommitOffsets(...) takes what ReadFromQueue returned, at least one PCollection")
        self._reads = [positions_of(messages) for messages in reads]

    def expand(self, written: Any) -> PCollection:
        """Commits each queue's positions once everything given has been written."""
        waited = (written,) if isinstance(written, PCollection) else tuple(written)
        committed = [
            positions | f"Commit{i}" >> _CommitOne(queue, waited)
            for i, (queue, positions) in enumerate(self._reads)
            if positions is not None
        ]
        if not committed:
            return waited[0].pipeline | "None" >> beam.Create([], reshuffle=False).with_output_types(Position)
        return committed | "Committed" >> beam.Flatten()


class _CommitOne(beam.PTransform):
    """Holds a queue's positions back until all that is waited for is complete, then commits them in one call."""

    def __init__(self, queue: Queue, waited: tuple[PCollection, ...]) -> None:
        super().__init__()
        self._queue, self._waited = queue, waited

    def expand(self, positions: PCollection) -> PCollection:
        finished = [AsIter(written | f"Finish{i}" >> _Finished()) for i, written in enumerate(self._waited)]
        return (
            positions
            | "Await" >> beam.ParDo(_Await(), *finished).with_output_types(Tuple[str, int])
            | "Furthest" >> beam.CombinePerKey(max)
            | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, Tuple[str, int]])
            | "Gather" >> beam.GroupByKey()
            | "Commit" >> beam.ParDo(_Commit(self._queue)).with_output_types(Position)
        )


class _Finished(beam.PTransform):
    """Nothing, but not before its input is complete, whatever its windows are: a side input to wait for.

    As beam.WaitOn, which waits window by window (a position has none) and whose labels are lambdas' line numbers.
    """

    def expand(self, written: PCollection) -> PCollection:
        return (
            written
            | "Forget" >> beam.ParDo(_Forget()).with_output_types(Tuple[int, int])
            | "Globally" >> beam.WindowInto(GlobalWindows())
            | "Complete" >> beam.GroupByKey()
        )


class _Forget(beam.DoFn):
    def process(self, unused: Any) -> tuple[Any, ...]:
        return ()


class _Await(beam.DoFn):
    def process(self, position: Position, *unused_finished: Any) -> Iterator[tuple[str, int]]:
        yield position.partition, position.offset


def _pair(position: tuple[str, int]) -> tuple[int, tuple[str, int]]:
    return 0, position


class _Commit(beam.DoFn):
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def process(self, group: Any) -> Iterator[Position]:
        positions = [Position(partition, offset) for partition, offset in group[1]]
        self._queue.commit(positions)
        yield from positions
