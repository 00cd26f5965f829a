"""Writing to a queue."""

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

#: Number of single elements that are handed to a queue at once.
_GATHERED = 1000


@RecordCoder.register
class Written(NamedTuple):
    """That a batch is durable."""

    queue: str
    messages: int


class WriteToQueue(GuardedPattern[PCollection[Any], PCollection[Written]]):
    """Writes messages to a queue and says what has been written.

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
        uri: the queue; see the package's documentation for the kinds and their parameters.
        topic: in Kafka, the topic for each message: a function of the Message as it is written. A message whose topic
            is not there, or may not be written, fails alone.

    In: PCollection of Message, DeadLetter, bytes, str, or anything that JSON can express (dicts, NamedTuples, rows).
    Out: PCollection[Written], for `CommitOffsets` and other steps to wait on. A bundle ends only when all that it wrote
    is durable, so whoever waits on this output knows that the messages are there.
    Streaming: as it comes, a flush per bundle.
    Failure: what can't be written as a message, or is rejected by the queue (too large), goes to the error handler as a
    DeadLetter, or fails the run. An unreachable queue fails the run with a QueueError.
    Delivery: at least once; every message carries the attribute `message_id`, the same when it is written again.
    """

    def __init__(self, uri: str, topic: Callable[[Message], str] | None = None) -> None:
        super().__init__()
        self._queue = open_queue(uri)
        if topic is not None:
            if not callable(topic):
                raise TypeError(f"WriteToQueue(topic=...) takes a function of one Message, not {topic!r}")
            self._queue = self._queue.with_topics(topic)

    def expand(self, elements: PCollection) -> PCollection:
        """What has been written."""
        own = self._queue.write_transform()
        batch_type = batch_type_of(elements) or List[elements.element_type]
        # A file keeps a dead letter's fields apart; the other queues take it as the message that it stands for.
        record = DeadLetter if own and elements.element_type is DeadLetter else Message
        guard = Guard(self, Message, counters=("in", "out", "dead"))
        fn = (_Convert if own else _Write)(guard, self._queue, batch_type, record)
        types = {"main": record if own else Written}
        (main,) = apply_guarded(self, elements, fn, types, verb="Convert" if own else "Send", label="Messages")
        return main | "Write" >> own if own else main


def as_message(element: Any) -> Message:
    """An element as it goes into a queue. Raises TypeError for what has no JSON form."""
    if isinstance(element, Message):
        return element.with_id()
    if isinstance(element, DeadLetter):
        return element.as_message()
    if isinstance(element, bytes):
        return Message(element).with_id()
    if isinstance(element, str):
        return Message(element.encode()).with_id()
    return Message(orjson.dumps(element._asdict() if hasattr(element, "_asdict") else element)).with_id()


class _Convert(GuardedStep):
    """Elements to messages, a batch at a time, or one by one as they come.

    The SDK would gather single elements into batches, but then it loses what the step upstream emits when its bundle
    finishes (seen in 2.77: BatchElements into a DoFn that has `process_batch` only).
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
        return element if self._record is DeadLetter else self._queue.fitted(as_message(element))

    def _messages(self, batch: Any) -> tuple[list[Message], list[DeadLetter]]:
        elements = batch.to_pylist() if isinstance(batch, pa.Table) else batch
        if self._record is Message and _are_messages(elements):
            with suppress(TypeError, ValueError):  # What does not fit is found below, one by one.
                messages = list(map(self._queue.fitted, Message.with_ids(elements)))
                self._taken(len(elements))
                return messages, []
        messages, letters, _ = self._guard.results(map(self._convert, elements), elements, self._complaint)
        self._guard.count({"dead": len(letters)})
        self._taken(len(elements))
        return messages, letters

    def _taken(self, elements: int) -> None:
        self._guard.count({"in": elements})
        self._guard.passed(elements)

    def _complaint(self, element: Any, error: Exception) -> str:
        return f"{self._queue} can't take {shortened(element)}: {error}"


class _Write(_Convert):
    """Elements into a queue; the bundle ends when they are durable."""

    _writer: Writer | None = None

    def start_bundle(self) -> None:
        super().start_bundle()
        self._open, self._took = 0, 0.0
        self._held = defaultdict[Any, list[Any]](list)

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        held = self._held[window]
        held.append(element)
        self._last = (timestamp, [window])
        if len(held) >= _GATHERED:
            yield from self.process_batch(self._held.pop(window), timestamp, window)

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        began = perf_counter()
        if self._writer is None:  # Not in setup: a bundle without elements needs no connection.
            self._writer = self._queue.writer()
        taken, letters = self._written(batch, self._writer)
        self._took += perf_counter() - began
        self._open += taken
        self._last = (timestamp, [window])
        yield from (TaggedOutput(DEAD, letter) for letter in letters)
        # Emitted before the flush: downstream sees it only if the bundle commits.
        yield Written(str(self._queue), taken)

    def _written(self, batch: Any, writer: Writer) -> tuple[int, list[DeadLetter]]:
        if _are_messages(batch):
            with suppress(TypeError, ValueError):  # One has, say, a str for its value: it is found below, one by one.
                writer.write_with_ids(batch)
                self._taken(len(batch))
                return len(batch), []
        messages, letters = self._messages(batch)
        writer.write(messages)
        return len(messages), letters

    def finish_bundle(self) -> Iterator[Any]:
        for window, held in self._held.items():
            for output in self.process_batch(held, self._last[0], window):
                yield _placed(output, self._last[0], [window])
        if not self._open or self._writer is None:
            return
        began = perf_counter()
        rejected = self._writer.flush()
        self._guard.times.note(self._took + perf_counter() - began, self._open)
        self._guard.count({"out": self._open - len(rejected), "dead": len(rejected)})
        for number, (message, error) in enumerate(rejected):
            # The queue does not say where among the written messages the rejected ones were: assume evenly.
            at = (number - len(rejected)) * self._open // len(rejected)
            letter = self._guard.letter(message, error, at, self._complaint(message, error))
            yield TaggedOutput(DEAD, WindowedValue(letter, *self._last))

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Written

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _are_messages(batch: Any) -> bool:
    return isinstance(batch, list) and set(map(type, batch)) == {Message}


def _placed(output: Any, timestamp: Any, windows: Any) -> Any:
    if isinstance(output, TaggedOutput):
        return TaggedOutput(output.tag, WindowedValue(output.value, timestamp, windows))
    return WindowedValue(output, timestamp, windows)
