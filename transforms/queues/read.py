"""ReadFromQueue: the messages of a queue as a PCollection."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput
from apache_beam.typehints import List

from ..base.batches import SideBatch
from ..base.errors import UnreadableError
from ..base.guard import Guard, GuardedStep, apply_guarded, dead_outputs
from ..base.message import Message
from ..base.metrics import Progress
from ..base.pattern import GuardedPattern
from .event_time import WithEventTime
from .positions import with_positions
from .queue import Position, Queue, Split
from .registry import open_queue

__all__ = ["ReadFromQueue"]

_LOG = logging.getLogger(__name__)
_POSITIONS = "positions"


class ReadFromQueue(GuardedPattern[PBegin, PCollection[Message]]):
    """Reads the messages of a queue, from the group's committed position to where the queue ends as the run starts.

    ```
    kafka://localhost:9092/orders?group=shipping --> ReadFromQueue --> messages
                        |  ^
    committed position -+  +- end
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, open_queue
    >>> writer = open_queue("memory://doc-read").writer()
    >>> writer.write([Message(b"a"), Message(b"b")])
    >>> writer.flush()
    []
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     messages = p | ReadFromQueue("memory://doc-read?group=doc")
    ...     shown = messages | beam.Map(lambda m: print(m.value, m.source))
    ...     _ = shown | CommitOffsets(messages)
    b'a' ('doc-read', 0, 0)
    b'b' ('doc-read', 0, 1)

    Args:
        uri: the queue; docs/queues.md has the kinds and their parameters. Raises ValueError if it can't be read.

    In: the pipeline.
    Out: PCollection[Message], bounded and in batches. Beam requires one timestamp for all elements of a batch, so a
    message's own time is in the message only; a transform such as `beam.WithTimestamps` copies it to the element.
    Streaming: with `--streaming` the same transform is unbounded, if the kind of queue and the runner support it.
    Failure: a queue that can't be reached fails the run with a QueueError of one sentence. A part that does not hold
    messages (a truncated file) goes to the error handler as a DeadLetter; without a handler it fails the run.
    Delivery: at least once. The read commits nothing; `CommitOffsets` commits after everything downstream is written.
    Source: Burns, Designing Distributed Systems, chapter 10 (the work queue's source).
    """

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._queue = open_queue(uri)
        self._queue.check_readable()

    def expand(self, begin: Any) -> PCollection:
        """The messages, with their positions for CommitOffsets."""
        streaming = begin.pipeline.options.view_as(StandardOptions).streaming
        own = (streaming and self._queue.follow_transform()) or self._queue.read_transform()
        messages, positions = begin | "Read" >> own if own else self._bounded(begin)
        if self._queue.time_field:
            messages = messages | "Time" >> WithEventTime(self._queue.time_field, self)
        return with_positions(messages, self._queue, positions)

    def _bounded(self, begin: Any) -> tuple[PCollection, PCollection]:
        splits = (
            begin
            | "Start" >> beam.Impulse()
            | "Plan" >> beam.FlatMap(_plan, self._queue).with_output_types(Split)
            | "Spread" >> beam.Reshuffle()
        )
        fetch = _Fetch(Guard(self, Message, counters=("out", "dead")), self._queue)
        types = {"messages": Message, _POSITIONS: Position}
        messages, positions = apply_guarded(self, splits, fetch, types, verb="Fetch", label="Records")
        return messages, positions


def _plan(unused_impulse: bytes, queue: Queue) -> Sequence[Split]:
    splits = queue.splits()
    if not splits:
        _LOG.info("nothing new in %s", queue)
    Progress().announce(sum(split.stop - split.start for split in splits))
    return splits


class _Fetch(GuardedStep):
    def __init__(self, guard: Guard, queue: Queue) -> None:
        super().__init__(guard)
        self._queue = queue

    def setup(self) -> None:
        super().setup()
        self._opened = ExitStack()
        self._read: Callable[[Split], Iterator[Any]] | None = None

    def start_bundle(self) -> None:
        super().start_bundle()
        self._progress = Progress()

    @beam.DoFn.yields_batches
    def process(self, split: Split) -> Iterator[Any]:
        began, done = perf_counter(), split.start
        if self._read is None:  # Not in start_bundle: a bundle without splits needs no connection.
            self._read = self._opened.enter_context(self._queue.reading())
        try:
            for batch in self._read(split):
                if isinstance(batch, UnreadableError):
                    yield from self._unreadable(split, batch)
                elif batch:
                    self._count("out", len(batch))
                    self._guard.times.note(perf_counter() - began, len(batch))
                    done += self._progress.passed(self._reached(batch, done) - done)
                    yield batch
                began = perf_counter()
        except UnreadableError as error:
            yield from self._unreadable(split, error)
        self._progress.passed(split.stop - done)
        yield TaggedOutput(_POSITIONS, SideBatch([Position(split.partition, split.stop)]))

    def finish_bundle(self) -> None:
        self._opened.close()
        self._read = None

    def teardown(self) -> None:
        self._opened.close()

    def _reached(self, batch: list[Message], done: int) -> int:
        """The offset after a batch. Where offsets do not count messages, progress shows only at the end of a split."""
        source = batch[-1].source if self._queue.counts_messages else None
        return source[-1] + 1 if source and isinstance(source[-1], int) else done

    def _unreadable(self, split: Split, error: UnreadableError) -> Iterator[TaggedOutput]:
        offset = split.start if error.offset is None else error.offset
        letter = self._guard.letter(Message(error.payload, source=(split.partition, 0, offset)), error)
        self._count("dead", 1)
        yield from dead_outputs([letter])

    def _count(self, name: str, number: int) -> None:
        self._guard.count({name: number})
        self._guard.passed(number)

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Message

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]
