"""FollowSubscription: reads a Pub/Sub subscription without end, on runners that checkpoint."""

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import List
from apache_beam.utils.timestamp import Duration, Timestamp

from ...base.batch_codec import PackedMessages, Unpack
from ...base.message import Message
from ..unbounded import TRACKER, WATERMARK
from .client import Resource
from .lease import Leases, Owner, leases_of
from .pull import Puller

__all__ = ["FollowSubscription"]

#: Longest duration of a bundle in seconds: checkpoints and acknowledgements wait for its end.
_BUNDLE = 1.0
_PULL = 2.0


class FollowSubscription(beam.PTransform):
    """PBegin -> (endless messages, None). The runner's checkpoints acknowledge messages."""

    def __init__(self, subscription: Resource) -> None:
        super().__init__()
        self._subscription = subscription

    def expand(self, begin: Any) -> Any:
        """The splittable DoFn yields packed messages, which are unpacked to batches for downstream steps."""
        follow = beam.ParDo(_Follow(self._subscription, Owner.in_pipeline(begin.pipeline)))
        follow.label = "Messages"  # Otherwise the class name would be a label.
        packed = begin | "Start" >> beam.Impulse() | "Follow" >> follow
        return packed | "Batches" >> Unpack(Message, List[Message]), None


class _Follow(beam.DoFn):
    """Yields packed messages, and acknowledges those of a bundle when the runner has made the bundle durable.

    A splittable DoFn of Beam 2.77 can't yield batches, because its watermark estimator needs their timestamps. A batch
    has the time of its pull, as has the watermark, so no message is late, however old the backlog is.
    """

    _puller: Puller | None = None

    def __init__(self, subscription: Resource, owner: Owner) -> None:
        self._subscription, self._owner = subscription, owner
        self._out = Metrics.counter("ReadFromQueue", "out")

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        unused_impulse: bytes,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = TRACKER,
        watermark: Any = WATERMARK,
    ) -> Iterator[Any]:
        puller = self._puller = self._puller or Puller(self._subscription, self._owner, _PULL)
        bundle = _Bundle(leases_of(self._subscription))
        finalizer.register(bundle)
        number, end = tracker.current_restriction().start, time.monotonic() + _BUNDLE
        while time.monotonic() < end:
            if not tracker.try_claim(number):
                return
            number += 1
            batch, now = puller.next(), Timestamp.now()
            watermark.set_watermark(now)
            if not batch:
                break
            bundle.batches.append(batch.ack_ids)
            self._out.inc(len(batch.messages))
            yield TimestampedValue(PackedMessages(batch.messages), now)
        tracker.defer_remainder(Duration(0))

    def teardown(self) -> None:
        if self._puller is not None:
            self._puller.close()
            self._puller = None

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return PackedMessages


class _Bundle:
    """The batches of a bundle. If the runner drops it without a call, after a failure, they are delivered again."""

    def __init__(self, leases: Leases) -> None:
        self._leases, self.batches = leases, list[str]()

    def __call__(self) -> None:
        self._leases.acknowledge(self.batches)
        self.batches = []

    def __del__(self) -> None:
        self._leases.release_later(self.batches)
