"""Reading Kafka topics without end, for runners that checkpoint."""

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import List
from apache_beam.utils.timestamp import Duration, Timestamp

from ...base.batch_codec import PackedMessages, Unpack
from ...base.errors import QueueError
from ...base.message import Message
from ..event_time import time_in
from ..queue import Position, Split
from ..unbounded import ENDLESS, Endless
from .clients import Connection, Partition
from .watermark import marks_of

if TYPE_CHECKING:
    from .queue import KafkaQueue

__all__ = ["FollowTopics"]

#: Seconds that a bundle lasts at most: a checkpoint waits for it, and so does the commit.
_BUNDLE = 1.0
#: Seconds between two looks for new partitions.
_LOOK = 10
#: Seconds by which the watermark of an idle partition stays behind the clock: producers' clocks differ, sends linger.
_BEHIND = 5
_MOST = 4096


class FollowTopics(beam.PTransform):
    """PBegin -> (messages, None): what is in the topics and what comes, committed as the runner checkpoints."""

    def __init__(self, queue: "KafkaQueue") -> None:
        super().__init__()
        self._queue = queue

    def expand(self, begin: Any) -> Any:
        """A batch has the time of its earliest record; a partition's watermark is that, or the clock if it is idle."""
        if isinstance(begin.pipeline.runner, FnApiRunner):
            raise ValueError(
                f"FnApiRunner can't read {self._queue} without end: it never fires a window behind an endless source; "
                "leave --streaming out to read what is there, or use PrismRunner, FlinkRunner or DataflowRunner"
            )
        discover, follow = beam.ParDo(_Discover(self._queue)), beam.ParDo(_Follow(self._queue))
        discover.label, follow.label = "Partitions", "Messages"  # Else the class names would be labels.
        packed = (
            begin
            | "Topics" >> beam.Create(self._queue.topics, reshuffle=False)
            | "Discover" >> discover.with_output_types(Split)
            | "Spread" >> beam.Reshuffle()
            | "Follow" >> follow.with_output_types(PackedMessages)
        )
        return packed | "Batches" >> Unpack(Message, List[Message]), None


_TRACKER = beam.DoFn.RestrictionParam(Endless())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())


class _Discover(beam.DoFn):
    """A topic's partitions, and those that it gets later: the restriction counts them."""

    def __init__(self, queue: "KafkaQueue") -> None:
        self._queue = queue

    @beam.DoFn.unbounded_per_element()
    def process(self, topic: str, tracker: Any = _TRACKER, watermark: Any = _WATERMARK) -> Iterator[Split]:
        known, looked = tracker.current_restriction().start, Timestamp.now()
        for partition, start in self._queue.beginnings(topic, known).items():
            if not tracker.try_claim(partition.number):
                return
            yield Split(str(partition), start, ENDLESS)
        watermark.set_watermark(looked - Duration(2 * _LOOK))
        tracker.defer_remainder(Duration(_LOOK))


class _Follow(beam.DoFn):
    """Packed messages, since a splittable DoFn of Beam 2.77 can't yield batches."""

    def __init__(self, queue: "KafkaQueue") -> None:
        self._queue, self._reader = queue, uuid.uuid4().hex
        self._out = Metrics.counter("ReadFromQueue", "out")
        self._connections = dict[Partition, Connection]()
        self._committed = dict[Partition, int]()

    def setup(self) -> None:
        self._marks, self._heard = marks_of(self._reader), time.monotonic()

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        split: Split,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[Any]:
        partition, start = Partition.parse(split.partition), tracker.current_restriction().start
        kafka, end, pause = self._at(partition, start), time.monotonic() + _BUNDLE, 0
        self._marks.begin(partition, start)
        commit = _Commit(self._queue, partition, start, self._committed)
        finalizer.register(commit)
        while time.monotonic() < end and not pause:
            before = kafka.position
            messages = kafka.poll(_MOST, 0.1)
            if kafka.position == before:
                self._rest(kafka, partition, commit.offset, watermark)
                pause = 1
            elif tracker.try_claim(kafka.position - 1):
                commit.offset = kafka.position
                yield from self._stamped(partition, commit.offset, messages, watermark)
            else:  # The runner gave the rest away: only what lies before it is ours.
                commit.offset = stop = tracker.current_restriction().stop
                self._connections.pop(partition).close()
                ours = [message for message in messages if message.source[2] < stop]  # type: ignore[index,misc]
                yield from self._stamped(partition, stop, ours, watermark)
                return
        if not pause:
            with suppress(QueueError):  # An outage shows when there is nothing to read.
                self._behind(kafka, partition)
        tracker.defer_remainder(Duration(pause))

    def teardown(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return PackedMessages

    def _at(self, partition: Partition, offset: int) -> Connection:
        """The connection of the last bundle, which has prefetched what comes, if it stands where this one starts."""
        kafka = self._connections.get(partition)
        if kafka is None:
            kafka = self._connections[partition] = self._queue.connect()
            self._marks.expect(self._queue.partitions(kafka))
            kafka.seek(partition, offset)
        elif kafka.position != offset:
            kafka.seek(partition, offset)
        return kafka

    def _stamped(
        self, partition: Partition, offset: int, messages: list[Message], watermark: Any
    ) -> Iterator[TimestampedValue]:
        times = [at for message in messages if (at := self._time(message)) is not None]
        earliest = Timestamp.of(min(times)) if times else Timestamp.now()
        self._marks.pass_on(partition, offset, earliest, watermark)
        if messages:
            self._out.inc(len(messages))
            yield TimestampedValue(PackedMessages(messages), earliest)

    def _time(self, message: Message) -> float | None:
        """What the watermark must not pass; a message without a valid one becomes a dead letter in the next step."""
        with suppress(ValueError):
            return time_in(message, self._queue.time_field) if self._queue.time_field else message.timestamp
        return None

    def _rest(self, kafka: Connection, partition: Partition, offset: int, watermark: Any) -> None:
        """Only a broker's word that there is nothing more lets time pass: silence may be an outage."""
        now = Timestamp.now() - Duration(_BEHIND)
        try:
            idle = self._behind(kafka, partition) == 0
        except QueueError:
            if time.monotonic() - self._heard > self._queue.patience:
                raise
            return
        self._heard = time.monotonic()
        if idle:
            self._marks.pass_on(partition, offset, now, watermark)

    def _behind(self, kafka: Connection, partition: Partition) -> int:
        """How many offsets are still to be read; what the topic has of them in this process is its gauge."""
        behind = max(0, kafka.bounds([partition])[partition].stop - kafka.position)
        Metrics.gauge("ReadFromQueue", f"lag {partition.topic}").set(self._marks.behind(partition, behind))
        return behind


class _Commit:
    """What a bundle has read is committed when the runner has made the bundle durable.

    So is what earlier ones had read, should a runner have dropped their finalisation.
    """

    def __init__(self, queue: "KafkaQueue", partition: Partition, offset: int, committed: dict[Partition, int]) -> None:
        self._queue, self._partition, self._committed = queue, partition, committed
        self.offset = offset

    def __call__(self) -> None:
        if self.offset > self._committed.get(self._partition, 0):
            self._queue.commit([Position(str(self._partition), self.offset)])
            self._committed[self._partition] = self.offset
