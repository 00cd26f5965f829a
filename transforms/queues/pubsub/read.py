"""Reading what is in a Pub/Sub subscription."""

import logging
import time
import uuid
from collections.abc import Iterator
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

__all__ = ["ReadFromSubscription", "listen", "look"]

_LOG = logging.getLogger(__name__)
_POSITIONS = "positions"
#: Seconds that a pull waits for the first message.
_LISTEN = 2.0


def drained(subscription: Resource, owner: Owner, idle: float) -> Iterator[Batch]:
    """Batches, until for some seconds there came no message that was published before now.

    Later messages are given too while others come, but a topic that never rests does not keep the run for ever.
    """
    begun, last = time.time(), time.monotonic()
    with Puller(subscription, owner, min(5, idle)) as puller:
        while time.monotonic() - last < idle:
            batch = puller.next()
            if batch:
                yield batch
                if any((message.timestamp or 0) <= begun for message in batch.messages):
                    last = time.monotonic()  # Not earlier: the work itself is no idle time.
        yield from puller.rest()


def look(subscription: Resource, idle: float) -> Iterator[list[Message]]:
    """The messages of a subscription, which are given back when the iterator ends or is closed."""
    leases, owner = leases_of(subscription), Owner("", uuid.uuid4().hex)
    seen = []
    try:
        for batch in drained(subscription, owner, idle):
            seen.append(batch.acknowledged_by)
            yield batch.messages
    finally:
        leases.release(seen)


def listen(subscription: Resource) -> Iterator[list[Message]]:
    """Messages as they come, for ever; acknowledged when the next ones are asked for, given back if they are not."""
    leases = leases_of(subscription)
    with Puller(subscription, Owner("", uuid.uuid4().hex), _LISTEN) as puller:
        while True:
            batch = puller.next()
            if not batch:
                continue
            try:
                yield batch.messages
            except GeneratorExit:
                leases.release([batch.acknowledged_by])
                raise
            leases.acknowledge([batch.acknowledged_by])


class ReadFromSubscription(beam.PTransform):
    """PBegin -> (messages, positions); a position is what acknowledges a batch, in whichever process."""

    def __init__(self, subscription: Resource, idle: float) -> None:
        super().__init__()
        self._subscription, self._idle = subscription, idle

    def expand(self, begin: Any) -> Any:
        """One worker pulls until the subscription is drained."""
        pull = beam.ParDo(_Drain(self._subscription, Owner.in_pipeline(begin.pipeline), self._idle))
        pull.label = "Messages"  # Else the class name would be a label.
        outputs = begin | "Start" >> beam.Impulse() | "Pull" >> pull.with_outputs(_POSITIONS, main="messages")
        allow_side_batches(pull)
        outputs.messages.element_type = Message
        outputs[_POSITIONS].element_type = Position
        return outputs.messages, outputs[_POSITIONS]


class _Drain(beam.DoFn):
    def __init__(self, subscription: Resource, owner: Owner, idle: float) -> None:
        self._subscription, self._owner, self._idle = subscription, owner, idle
        self._out = Metrics.counter("ReadFromQueue", "out")

    @beam.DoFn.yields_batches
    def process(self, unused_impulse: bytes) -> Iterator[Any]:
        leases, given, complete = leases_of(self._subscription), list[str](), False
        leases.begin(self._owner)
        try:
            for batch, messages in drained(self._subscription, self._owner, self._idle):
                given.append(batch)
                self._out.inc(len(messages))
                yield messages
                yield TaggedOutput(_POSITIONS, SideBatch([Position(batch, len(messages))]))
            complete = True
            if not given:
                _LOG.info("nothing new in %s", self._subscription.uri)
        finally:
            if not complete:  # A step behind this one failed: the next attempt must get these messages.
                leases.release(given)

    def infer_output_type(self, unused_input_type: Any) -> Any:
        return Message

    def get_output_batch_type(self, unused_input_type: Any) -> Any:
        return List[Message]
