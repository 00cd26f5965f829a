"""CommitOffsets: the step that commits a read after its results are written."""

from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from .positions import positions_of
from .queue import Position, Queue

__all__ = ["CommitOffsets"]


class CommitOffsets(beam.PTransform):
    """Moves a group's position forward after everything that was made of its messages has been written.

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
        reads: one or more PCollections that ReadFromQueue returned.

    In: a PCollection or a tuple of them: everything that must be complete before the commit. Give it the outputs of all
    WriteToQueue steps of the pipeline, dead letters included (`handler.output()`).
    Out: PCollection[Position], the committed positions.
    Streaming: an unbounded read commits by itself in bundle finalization; this step then commits nothing.
    Failure: a commit that fails also fails the run. If a run fails or is killed before the commit, the next run reads
    the same messages again.
    Source: Helland, Life beyond Distributed Transactions (at-least-once with idempotent receivers).
    """

    def __init__(self, *reads: PCollection) -> None:
        super().__init__()
        if not reads:
            raise ValueError("CommitOffsets(...) needs at least one PCollection that ReadFromQueue returned")
        self._reads = [positions_of(messages) for messages in reads]

    def expand(self, written: Any) -> PCollection:
        """Commits each queue's positions after everything in `written` is complete."""
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
    """Waits for all given PCollections, then commits a queue's positions in one call."""

    def __init__(self, queue: Queue, waited: tuple[PCollection, ...]) -> None:
        super().__init__()
        self._queue, self._waited = queue, waited

    def expand(self, positions: PCollection) -> PCollection:
        finished = [AsIter(written | f"Finish{i}" >> _Finished()) for i, written in enumerate(self._waited)]
        return (
            positions
            | "Await" >> beam.Map(_awaited, *finished).with_output_types(Tuple[str, int])
            | "Furthest" >> beam.CombinePerKey(max)
            | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, Tuple[str, int]])
            | "Gather" >> beam.GroupByKey()
            | "Commit" >> beam.FlatMap(_committed, self._queue).with_output_types(Position)
        )


class _Finished(beam.PTransform):
    """An empty side input that is ready when its input is complete in all windows.

    Replaces beam.WaitOn, which waits window by window (positions have no window) and labels steps by line numbers.
    """

    def expand(self, written: PCollection) -> PCollection:
        return (
            written
            | "Forget" >> beam.FlatMap(_nothing).with_output_types(Tuple[int, int])
            | "Globally" >> beam.WindowInto(GlobalWindows())
            | "Complete" >> beam.GroupByKey()
        )


def _nothing(unused: Any) -> tuple[Any, ...]:
    return ()


def _awaited(position: Position, *unused_finished: Any) -> tuple[str, int]:
    return position.partition, position.offset


def _pair(position: tuple[str, int]) -> tuple[int, tuple[str, int]]:
    return 0, position


def _committed(group: Any, queue: Queue) -> list[Position]:
    positions = [Position(partition, offset) for partition, offset in group[1]]
    queue.commit(positions)
    return positions
