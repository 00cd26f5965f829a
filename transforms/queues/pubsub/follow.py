"""Reading a Pub/Sub subscription without end, for runners that checkpoint."""

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints import List
from apache_beam.utils.timestamp import Duration, Timestamp

from ...base.batch_codec import PackedMessages, Unpack
from ...base.message import Message
from ..unbounded import Endless
from .client import Resource
from .lease import Leases, Owner, leases_of
from .pull import Puller

__all__ = ["FollowSubscription"]

#: Seconds that a bundle lasts at most: a checkpoint waits for it, and so do the acknowledgements.
_BUNDLE = 1.0
_PULL = 2.0


class FollowSubscription(beam.PTransform):
    """PBegin -> (messages without end, None): acknowledging is the runner's checkpoint."""

    def __init__(self, subscription: Resource) -> None:
        super().__init__()
        self._subscription = subscription

    def expand(self, begin: Any) -> Any:
        """Packed by the splittable DoFn, batches for everything behind it."""
        follow = beam.ParDo(_Follow(self._subscription, Owner.in_pipeline(begin.pipeline)))
        follow.label = "Messages"  # Else the class name would be a label.
        packed = begin | "Start" >> beam.Impulse() | "Follow" >> follow
        return packed | "Batches" >> Unpack(Message, List[Message]), None


_TRACKER = beam.DoFn.RestrictionParam(Endless())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())


class _Follow(beam.DoFn):
    """Packed messages as they come; each bundle's are acknowledged when the runner has made the bundle durable.

    Packed, because a splittable DoFn of Beam 2.77 can't yield batches: its watermark estimator wants their timestamps.
    A batch has the time of its pull, which is also the watermark: nothing is ever late, whatever lay in the backlog.
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
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[Any]:
        puller = self._open()
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
            bundle.batches.append(batch.acknowledged_by)
            self._out.inc(len(batch.messages))
            yield TimestampedValue(PackedMessages(batch.messages), now)
        tracker.defer_remainder(Duration(0))

    def teardown(self) -> None:
        if self._puller is not None:
            self._puller.close()
            self._puller = None

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return PackedMessages

    def _open(self) -> Puller:
        if self._puller is None:
            self._puller = Puller(self._subscription, self._owner, _PULL)
        return self._puller


class _Bundle:
    """What a bundle has read. Dropped by the runner without a call, as a failed bundle is, it comes again."""

    def __init__(self, leases: Leases) -> None:
        self._leases, self.batches = leases, list[str]()

    def __call__(self) -> None:
        self._leases.acknowledge(self.batches)
        self.batches = []

    def __del__(self) -> None:
        self._leases.abandon(self.batches)
