"""WriteToQueue: elements of a PCollection as messages of a queue."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints import List
from apache_beam.utils.windowed_value import WindowedValue

from ..base.batches import batch_type_of
from ..base.coders import RecordCoder
from ..base.dead_letter import DeadLetter
from ..base.guard import DEAD, Guard, GuardedStep, apply_guarded, dead_outputs, shortened
from ..base.message import Message
from ..base.pattern import GuardedPattern
from .queue import Queue, Writer
from .registry import open_queue

__all__ = ["WriteToQueue", "Written", "as_message"]

#: Number of single elements that are written as one batch.
_BATCH = 1000


@RecordCoder.register
class Written(NamedTuple):
    """Confirms that a batch is durable."""

    queue: str
    messages: int


class WriteToQueue(GuardedPattern[PCollection[Any], PCollection[Written]]):
    """Writes messages to a queue and reports what has been written.

    ```
    messages --> WriteToQueue --> written: Written("kafka://...", 4096), ...
                      |
                      +--> the queue
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms.queues import Message, WriteToQueue
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     written = p | beam.Create([Message(b"a"), Message(b"b")]) | WriteToQueue("memory://doc-write")
    ...     _ = written | beam.Map(print)
    Written(queue='memory://doc-write', messages=2)

    Args:
        uri: the queue; docs/queues.md has the kinds and their parameters. Raises ValueError if it can't be written.
        topic: Kafka only: a function that returns the topic for each Message, as it is written. If a topic is missing
            or may not be written, only the messages for it fail.

    In: PCollection of Message, DeadLetter, bytes, str, or anything that JSON can express (dicts, NamedTuples, rows).
    Out: PCollection[Written], for `CommitOffsets` and other steps to wait on. A bundle ends only when all messages that
    it wrote are durable, so a step that waits on this output can rely on them.
    Streaming: messages are written as they arrive, with a flush per bundle.
    Failure: an element that has no form as a message, or that the queue rejects (too large), goes to the error handler
    as a DeadLetter; without a handler it fails the run. An unreachable queue fails the run with a QueueError.
    Delivery: at least once. Each message carries the attribute `message_id`, which is the same when it is rewritten.
    Source: Hohpe and Woolf, Enterprise Integration Patterns, chapter 4 (guaranteed delivery).
    """

    def __init__(self, uri: str, topic: Callable[[Message], str] | None = None) -> None:
        super().__init__()
        self._queue = open_queue(uri)
        if topic is not None:
            if not callable(topic):
                raise TypeError(f"WriteToQueue(topic=...) expects a function of one Message, not {topic!r}")
            self._queue = self._queue.with_topics(topic)
        self._queue.check_writable()

    def expand(self, elements: PCollection) -> PCollection:
        """A Written per batch that is durable."""
        own = self._queue.write_transform()
        batch_type = batch_type_of(elements) or List[elements.element_type]
        # A file stores a dead letter field by field; other queues store the message that it is equivalent to.
        record = DeadLetter if own and elements.element_type is DeadLetter else Message
        guard = Guard(self, Message, counters=("in", "out", "dead"))
        fn = (_Convert if own else _Write)(guard, self._queue, batch_type, record)
        types = {"main": record if own else Written}
        (main,) = apply_guarded(self, elements, fn, types, verb="Convert" if own else "Send", label="Messages")
        return main | "Write" >> own if own else main


def as_message(element: Any) -> Message:
    """The message that is written for an element. Raises TypeError if the element has no JSON form."""
    if isinstance(element, DeadLetter):
        return element.as_message()
    if isinstance(element, Message):
        return element.with_id()
    if not isinstance(element, bytes | str):
        element = orjson.dumps(element._asdict() if hasattr(element, "_asdict") else element)
    return Message(element.encode() if isinstance(element, str) else element).with_id()


class _Convert(GuardedStep):
    """Converts elements to messages, in batches or one by one, as they arrive.

    With `process_batch` alone the SDK would batch single elements, but then it loses what the step upstream emits in
    `finish_bundle` (seen in 2.77, with BatchElements upstream).
    """

    def __init__(self, guard: Guard, queue: Queue, batch_type: Any, record: type) -> None:
        super().__init__(guard)
        self._queue, self._batch_type, self._record = queue, batch_type, record

    def process(self, element: Any) -> Iterator[Any]:
        messages, letters = self._messages((element,))
        self._guard.count({"out": len(messages)})
        yield from messages
        yield from (TaggedOutput(DEAD, letter) for letter in letters)

    def process_batch(self, batch: Any) -> Iterator[Any]:
        messages, letters = self._messages(batch)
        self._guard.count({"out": len(messages)})
        if messages:
            yield messages
        yield from dead_outputs(letters)

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return self._record

    def get_input_batch_type(self, unused_input_type: Any) -> Any:
        return self._batch_type

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[self._record]

    def _convert(self, element: Any) -> Any:
        return element if self._record is DeadLetter else self._queue.as_stored(as_message(element))

    def _messages(self, batch: Any) -> tuple[list[Message], list[DeadLetter]]:
        elements = batch.to_pylist() if isinstance(batch, pa.Table) else batch
        if self._record is Message and _are_messages(elements):
            with suppress(TypeError, ValueError):  # The loop below finds which messages fail.
                messages = list(map(self._queue.as_stored, Message.with_ids(elements)))
                self._count_in(len(elements))
                return messages, []
        messages, letters, _ = self._guard.results(map(self._convert, elements), elements, self._complaint)
        self._guard.count({"dead": len(letters)})
        self._count_in(len(elements))
        return messages, letters

    def _count_in(self, elements: int) -> None:
        self._guard.count({"in": elements})
        self._guard.passed(elements)

    def _complaint(self, element: Any, error: Exception) -> str:
        return f"{self._queue} can't store {shortened(element)}: {error}"


class _Write(_Convert):
    """Writes elements to a queue. The bundle ends when they are durable."""

    _writer: Writer | None = None

    def start_bundle(self) -> None:
        super().start_bundle()
        self._unflushed, self._seconds = 0, 0.0
        self._held = defaultdict[Any, list[Any]](list)

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        held = self._held[window]
        held.append(element)
        self._last = (timestamp, (window,))
        if len(held) >= _BATCH:
            yield from self.process_batch(self._held.pop(window), timestamp, window)

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        began = perf_counter()
        if self._writer is None:  # Not in setup: a bundle without elements needs no connection.
            self._writer = self._queue.writer()
        written, letters = self._write(batch, self._writer)
        self._seconds += perf_counter() - began
        self._unflushed += written
        self._last = (timestamp, (window,))
        yield from (TaggedOutput(DEAD, letter) for letter in letters)
        # Emitted before the flush: downstream sees it only if the bundle commits.
        yield Written(str(self._queue), written)

    def _write(self, batch: Any, writer: Writer) -> tuple[int, list[DeadLetter]]:
        if _are_messages(batch):
            with suppress(TypeError, ValueError):  # A value may be a str, for example: `_messages` finds it.
                writer.write_with_ids(batch)
                self._count_in(len(batch))
                return len(batch), []
        messages, letters = self._messages(batch)
        writer.write(messages)
        return len(messages), letters

    def finish_bundle(self) -> Iterator[Any]:
        for window, held in self._held.items():
            for output in self.process_batch(held, self._last[0], window):
                is_tagged = isinstance(output, TaggedOutput)
                value = WindowedValue(output.value if is_tagged else output, self._last[0], (window,))
                yield TaggedOutput(output.tag, value) if is_tagged else value
        if not self._unflushed or self._writer is None:
            return
        began = perf_counter()
        rejected = self._writer.flush()
        self._guard.times.note(self._seconds + perf_counter() - began, self._unflushed)
        self._guard.count({"out": self._unflushed - len(rejected), "dead": len(rejected)})
        for number, (message, error) in enumerate(rejected):
            # The queue does not report which of the written messages were rejected: assume that they are evenly spread.
            at = (number - len(rejected)) * self._unflushed // len(rejected)
            letter = self._guard.letter(message, error, at, self._complaint(message, error))
            yield TaggedOutput(DEAD, WindowedValue(letter, *self._last))

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Written

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _are_messages(batch: Any) -> bool:
    return isinstance(batch, list) and set(map(type, batch)) == {Message}
