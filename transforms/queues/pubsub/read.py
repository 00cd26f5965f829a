"""ReadFromSubscription: reads the messages in a Pub/Sub subscription."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import List

from ...base.batches import SideBatch, allow_side_batches
from ...base.message import Message
from ..queue import Position
from .client import Resource
from .lease import Owner, leases_of
from .pull import Batch, Puller

__all__ = ["ReadFromSubscription", "listen", "peek"]

_LOG = logging.getLogger(__name__)
_POSITIONS = "positions"
#: Seconds for which a pull waits for the first message.
_PULL = 2.0


def _until_idle(subscription: Resource, owner: Owner, idle: float) -> Iterator[Batch]:
    """Yields batches until no message that was published before this call has arrived for `idle` seconds.

    Later messages are yielded too until then, but a topic that is never idle does not keep the run from ending.
    """
    start, last = time.time(), time.monotonic()
    with closing(Puller(subscription, owner, min(5, idle))) as puller:
        while time.monotonic() - last < idle:
            batch = puller.next()
            if batch:
                yield batch
                if any((message.timestamp or 0) <= start for message in batch.messages):
                    last = time.monotonic()  # After the yield, since the work on a batch is not idle time.
        yield from puller.remaining()


def peek(subscription: Resource, idle: float) -> Iterator[list[Message]]:
    """The messages of a subscription, which are released when the iterator ends or is closed."""
    leases, owner = leases_of(subscription), Owner("", uuid.uuid4().hex)
    seen = []
    try:
        for batch in _until_idle(subscription, owner, idle):
            seen.append(batch.ack_ids)
            yield batch.messages
    finally:
        leases.release(seen)


def listen(subscription: Resource) -> Iterator[list[Message]]:
    """Messages as they arrive, without end. The next request acknowledges them; closing releases them."""
    leases = leases_of(subscription)
    with closing(Puller(subscription, Owner("", uuid.uuid4().hex), _PULL)) as puller:
        while True:
            batch = puller.next()
            if not batch:
                continue
            try:
                yield batch.messages
            except GeneratorExit:
                leases.release([batch.ack_ids])
                raise
            leases.acknowledge([batch.ack_ids])


class ReadFromSubscription(beam.PTransform):
    """PBegin -> (messages, positions). A position holds the ids that acknowledge a batch, in any process."""

    def __init__(self, subscription: Resource, idle: float) -> None:
        super().__init__()
        self._subscription, self._idle = subscription, idle

    def expand(self, begin: Any) -> Any:
        """One worker pulls until the subscription is idle."""
        pull = beam.ParDo(_Pull(self._subscription, Owner.in_pipeline(begin.pipeline), self._idle))
        pull.label = "Messages"  # Otherwise the class name would be a label.
        outputs = begin | "Start" >> beam.Impulse() | "Pull" >> pull.with_outputs(_POSITIONS, main="messages")
        allow_side_batches(pull)
        outputs.messages.element_type = Message
        outputs[_POSITIONS].element_type = Position
        return outputs.messages, outputs[_POSITIONS]


class _Pull(beam.DoFn):
    def __init__(self, subscription: Resource, owner: Owner, idle: float) -> None:
        self._subscription, self._owner, self._idle = subscription, owner, idle
        self._out = Metrics.counter("ReadFromQueue", "out")

    @beam.DoFn.yields_batches
    def process(self, unused_impulse: bytes) -> Iterator[Any]:
        leases, yielded, complete = leases_of(self._subscription), list[str](), False
        leases.release_stale(self._owner)
        try:
            for ack_ids, messages in _until_idle(self._subscription, self._owner, self._idle):
                yielded.append(ack_ids)
                self._out.inc(len(messages))
                yield messages
                yield TaggedOutput(_POSITIONS, SideBatch([Position(ack_ids, len(messages))]))
            complete = True
            if not yielded:
                _LOG.info("nothing new in %s", self._subscription.uri)
        finally:
            if not complete:  # A downstream step failed: the next attempt must get these messages.
                leases.release(yielded)

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Message

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]
