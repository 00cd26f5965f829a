"""Reading a queue."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints import List

from ..core.batches import Aside, with_asides
from ..core.message import Message
from ..core.routing import Pattern
from ..core.times import Times
from ..core.totals import Progress
from ..dead_letters import DeadLetter
from .event_time import TakeTime
from .queue import Position, Queue, Split, UnreadableError, open_queue

__all__ = ["ReadFromQueue", "positions_of"]

_LOG = logging.getLogger(__name__)
_POSITIONS = "positions"
_UNREADABLE = "unreadable"


class ReadFromQueue(Pattern):
    """Reads the messages of a queue, from where its group stands to what is its end when the run starts.

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
        uri: the queue; see the package's documentation for the kinds and their parameters.

    In: the pipeline.
    Out: PCollection[Message], in batches; bounded. All messages of a batch have one timestamp: Beam's batches know no
    other. A message's own time is in the message; `beam.WithTimestamps` style transforms move it to the element.
    Streaming: with `--streaming` the same transform is unbounded, where the kind of queue and the runner can do it.
    Failure: a queue that can't be reached fails the run with a QueueError in one sentence; what can't be read as
    messages (a truncated file) goes to the error handler as a DeadLetter, or fails the run.
    Delivery: nothing is committed here. `CommitOffsets` does it, after everything downstream has been written.
    """

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._queue = open_queue(uri)

    def expand(self, begin: Any) -> PCollection:
        """The messages, and on the side how far they reach."""
        streaming = begin.pipeline.options.view_as(StandardOptions).streaming
        own = (streaming and self._queue.follow_transform()) or self._queue.read_transform(self._handler)
        messages, positions = begin | "Read" >> own if own else self._bounded(begin)
        if self._queue.time_field:
            messages = messages | "Time" >> TakeTime(self._queue.time_field, self._handler)
        # CommitOffsets finds them here: positions belong to the messages as their windowing does.
        messages.read_positions = (self._queue, positions)
        return messages

    def _bounded(self, begin: Any) -> tuple[PCollection, PCollection]:
        fetch = beam.ParDo(_Fetch(self._queue, self.label, self._handler is not None))
        fetch.label = "Records"  # Else the class name would be a label.
        outputs = (
            begin
            | "Start" >> beam.Impulse()
            | "Plan" >> beam.ParDo(_Plan(self._queue)).with_output_types(Split)
            | "Spread" >> beam.Reshuffle()
            | "Fetch" >> fetch.with_outputs(_POSITIONS, _UNREADABLE, main="messages")
        )
        with_asides(fetch)
        outputs.messages.element_type = Message
        outputs[_POSITIONS].element_type = Position
        outputs[_UNREADABLE].element_type = DeadLetter
        if self._handler is not None:
            self._handler.add_error_pcollection(outputs[_UNREADABLE])
        return outputs.messages, outputs[_POSITIONS]


def positions_of(messages: PCollection) -> tuple[Queue, PCollection | None]:
    """The queue that a PCollection was read from, and how far; a TypeError for any other PCollection."""
    try:
        return messages.read_positions
    except AttributeError:
        raise TypeError(
            f"{messages} was not made by ReadFromQueue; give CommitOffsets the PCollection that ReadFromQueue returned"
        ) from None


class _Plan(beam.DoFn):
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def process(self, unused_impulse: bytes) -> Iterator[Split]:
        splits = self._queue.splits()
        if not splits:
            _LOG.info("nothing new in %s", self._queue)
        Progress().announce(sum(split.stop - split.start for split in splits))
        yield from splits


class _Fetch(beam.DoFn):
    def __init__(self, queue: Queue, step: str, guarded: bool) -> None:
        self._queue, self._step, self._guarded = queue, step, guarded
        self._out = Metrics.counter("ReadFromQueue", "out")
        self._dead = Metrics.counter("ReadFromQueue", "dead")

    def setup(self) -> None:
        self._opened = ExitStack()
        self._read: Callable[[Split], Iterator[Any]] | None = None

    def start_bundle(self) -> None:
        self._times, self._progress = Times(), Progress()

    @beam.DoFn.yields_batches
    def process(self, split: Split) -> Iterator[Any]:
        began, done = perf_counter(), split.start
        if self._read is None:  # Not at the start of a bundle, which may be one without splits.
            self._read = self._opened.enter_context(self._queue.reading())
        try:
            for batch in self._read(split):
                if isinstance(batch, UnreadableError):
                    yield self._unreadable(split, batch)
                else:
                    self._out.inc(len(batch))
                    self._times.note(perf_counter() - began, len(batch))
                    done += self._progress.passed(self._reached(batch, done) - done)
                    yield batch
                began = perf_counter()
        except UnreadableError as error:
            yield self._unreadable(split, error)
        self._progress.passed(split.stop - done)
        yield TaggedOutput(_POSITIONS, Aside([Position(split.partition, split.stop)]))

    def finish_bundle(self) -> None:
        self._opened.close()
        self._read = None

    def teardown(self) -> None:
        self._opened.close()

    def _reached(self, batch: list[Message], done: int) -> int:
        """Where a batch ends, in queues that count messages as splits do; of a file only its end is known."""
        source = batch[-1].source if self._queue.keeps_positions else None
        return int(source[-1]) + 1 if source else done

    def _unreadable(self, split: Split, error: UnreadableError) -> TaggedOutput:
        if not self._guarded:
            raise error
        self._dead.inc()
        part = Message(
            error.payload, source=(split.partition, 0, split.start if error.offset is None else error.offset)
        )
        return TaggedOutput(_UNREADABLE, Aside([DeadLetter.of(part, error, step=self._step)]))

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Message

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]
