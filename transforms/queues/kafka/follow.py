"""FollowTopics: reads Kafka topics without end, on runners that checkpoint."""

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import List
from apache_beam.utils.timestamp import Duration, Timestamp

from ...base.batch_codec import PackedMessages, Unpack
from ...base.errors import QueueError
from ...base.message import Message
from ..event_time import event_time_of
from ..queue import Position, Split
from ..unbounded import MAX_OFFSET, TRACKER, WATERMARK
from .clients import Connection, Partition
from .reading import TopicsReader
from .watermark import min_watermark_of

__all__ = ["FollowTopics"]

#: Longest duration of a bundle in seconds: checkpoints and commits wait for its end.
_BUNDLE = 1.0
#: Seconds between two searches for new partitions.
_DISCOVERY = 10
#: Seconds by which the watermark of an idle partition lags the clock: producers' clocks differ, and sends linger.
_IDLE_LAG = 5
_BATCH = 4096


class FollowTopics(beam.PTransform):
    """PBegin -> (messages, None): the backlog of the topics and all later messages, committed at checkpoints."""

    def __init__(self, queue: TopicsReader) -> None:
        super().__init__()
        self._queue = queue

    def expand(self, begin: Any) -> Any:
        """A batch and its partition's watermark have the time of the earliest record; idle ones follow the clock."""
        if isinstance(begin.pipeline.runner, FnApiRunner):
            raise ValueError(
                f"FnApiRunner can't read {self._queue} without end: it never fires windows of an endless source; "
                "leave --streaming out to read what is there, or use PrismRunner, FlinkRunner or DataflowRunner"
            )
        discover, follow = beam.ParDo(_Discover(self._queue)), beam.ParDo(_Follow(self._queue))
        discover.label, follow.label = "Partitions", "Messages"  # Otherwise the class names would be labels.
        packed = (
            begin
            | "Topics" >> beam.Create(self._queue.topics, reshuffle=False)
            | "Discover" >> discover.with_output_types(Split)
            | "Spread" >> beam.Reshuffle()
            | "Follow" >> follow.with_output_types(PackedMessages)
        )
        return packed | "Batches" >> Unpack(Message, List[Message]), None


class _Discover(beam.DoFn):
    """Yields a topic's partitions, and those added later. The restriction counts partitions."""

    def __init__(self, queue: TopicsReader) -> None:
        self._queue = queue

    @beam.DoFn.unbounded_per_element()
    def process(self, topic: str, tracker: Any = TRACKER, watermark: Any = WATERMARK) -> Iterator[Split]:
        known, now = tracker.current_restriction().start, Timestamp.now()
        for partition, start in self._queue.new_partitions(topic, known).items():
            if not tracker.try_claim(partition.number):
                return
            yield Split(str(partition), start, MAX_OFFSET)
        watermark.set_watermark(now - Duration(2 * _DISCOVERY))
        tracker.defer_remainder(Duration(_DISCOVERY))


class _Follow(beam.DoFn):
    """Yields packed messages, because a splittable DoFn of Beam 2.77 can't yield batches."""

    def __init__(self, queue: TopicsReader) -> None:
        self._queue, self._reader = queue, uuid.uuid4().hex
        self._out = Metrics.counter("ReadFromQueue", "out")
        self._connections = dict[Partition, Connection]()
        self._committed = dict[Partition, int]()

    def setup(self) -> None:
        self._min_watermark, self._last_answer = min_watermark_of(self._reader), time.monotonic()

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        split: Split,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = TRACKER,
        watermark: Any = WATERMARK,
    ) -> Iterator[Any]:
        partition, start = Partition.parse(split.partition), tracker.current_restriction().start
        kafka, end, pause = self._connection(partition, start), time.monotonic() + _BUNDLE, 0
        self._min_watermark.begin(partition, start)
        commit = _Commit(self._queue, partition, start, self._committed)
        finalizer.register(commit)
        while time.monotonic() < end and not pause:
            before = kafka.position
            messages = kafka.poll(_BATCH, 0.1)
            if kafka.position == before:
                self._advance_if_idle(kafka, partition, commit.offset, watermark)
                pause = 1
            elif tracker.try_claim(kafka.position - 1):
                commit.offset = kafka.position
                yield from self._timestamped(partition, commit.offset, messages, watermark)
            else:  # The runner split the restriction: only offsets before the split belong to this bundle.
                commit.offset = stop = tracker.current_restriction().stop
                self._connections.pop(partition).close()
                kept = [message for message in messages if message.source[2] < stop]  # type: ignore[index,misc]
                yield from self._timestamped(partition, stop, kept, watermark)
                return
        if not pause:
            with suppress(QueueError):  # An outage is reported when the partition is idle.
                self._lag(kafka, partition)
        tracker.defer_remainder(Duration(pause))

    def teardown(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return PackedMessages

    def _connection(self, partition: Partition, offset: int) -> Connection:
        """The connection of the last bundle, which has prefetched records, positioned at the offset."""
        kafka = self._connections.get(partition)
        if kafka is None:
            kafka = self._connections[partition] = self._queue.connect()
            self._min_watermark.expect(self._queue.partitions(kafka, self._queue.topics))
            kafka.seek(partition, offset)
        elif kafka.position != offset:
            kafka.seek(partition, offset)
        return kafka

    def _timestamped(
        self, partition: Partition, offset: int, messages: list[Message], watermark: Any
    ) -> Iterator[TimestampedValue]:
        times = [at for message in messages if (at := self._time(message)) is not None]
        earliest = Timestamp.of(min(times)) if times else Timestamp.now()
        self._min_watermark.advance(partition, offset, earliest, watermark)
        if messages:
            self._out.inc(len(messages))
            yield TimestampedValue(PackedMessages(messages), earliest)

    def _time(self, message: Message) -> float | None:
        """The time that the watermark must not pass. The next step dead-letters a message without a valid time."""
        with suppress(ValueError):
            return event_time_of(message, self._queue.time_field) if self._queue.time_field else message.timestamp
        return None

    def _advance_if_idle(self, kafka: Connection, partition: Partition, offset: int, watermark: Any) -> None:
        """Advances the watermark only if a broker confirms the end of the partition: silence may be an outage."""
        now = Timestamp.now() - Duration(_IDLE_LAG)
        try:
            idle = self._lag(kafka, partition) == 0
        except QueueError:
            if time.monotonic() - self._last_answer > self._queue.patience:
                raise
            return
        self._last_answer = time.monotonic()
        if idle:
            self._min_watermark.advance(partition, offset, now, watermark)

    def _lag(self, kafka: Connection, partition: Partition) -> int:
        """Number of offsets still to read. The gauge shows the sum for the topic in this process."""
        lag = max(0, kafka.bounds([partition])[partition].stop - kafka.position)
        Metrics.gauge("ReadFromQueue", f"lag {partition.topic}").set(self._min_watermark.lag(partition, lag))
        return lag


class _Commit:
    """Commits what a bundle has read, when the runner has made the bundle durable.

    This also commits earlier bundles whose finalization a runner has dropped.
    """

    def __init__(self, queue: TopicsReader, partition: Partition, offset: int, committed: dict[Partition, int]) -> None:
        self._queue, self._partition, self._committed = queue, partition, committed
        self.offset = offset

    def __call__(self) -> None:
        if self.offset > self._committed.get(self._partition, 0):
            self._queue.commit([Position(str(self._partition), self.offset)])
            self._committed[self._partition] = self.offset
