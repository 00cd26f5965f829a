"""Sending items back."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Tuple

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import RecordCoder, step_counters
from beam_patterns.transforms.queues import QueueError, Writer, open_queue

from .letters import identity, replays, sent_back
from .target import Target

__all__ = ["SendBack", "SendSlowly", "Sent"]

#: With a rate, what was sent becomes visible so many times a second.
_TICKS = 10


@RecordCoder.register
class Sent(NamedTuple):
    """A line of the journal: which item went where, and when."""

    message_id: str
    failed_at: float
    fingerprint: str
    step: str
    replays: int
    to: str
    sent_at: float


class SendBack(beam.PTransform):
    """Letters to where their items entered, as the messages they were; `Sent` when they are durable.

    Not WriteToQueue: the queue is the letter's own.
    """

    def __init__(self, to: Target) -> None:
        super().__init__()
        self._to = to

    def expand(self, letters: PCollection) -> PCollection:
        return letters | "Send" >> beam.ParDo(_Send(self._to, None, "SendBack")).with_output_types(Sent)


class SendSlowly(beam.PTransform):
    """The same by one worker, so many items a second."""

    def __init__(self, to: Target, rate: float) -> None:
        super().__init__()
        self._to, self._rate = to, rate

    def expand(self, letters: PCollection) -> PCollection:
        return (
            letters
            | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, DeadLetter])
            | "InOne" >> beam.GroupByKey()
            | "Values" >> beam.FlatMap(_values).with_output_types(DeadLetter)
            | "Send" >> beam.ParDo(_Send(self._to, self._rate, "SendSlowly")).with_output_types(Sent)
        )


def _pair(letter: DeadLetter) -> tuple[int, DeadLetter]:
    return 0, letter


def _values(group: Any) -> Any:
    return group[1]


class _Send(beam.DoFn):
    def __init__(self, to: Target, rate: float | None, counted_as: str) -> None:
        self._counted_as = counted_as
        self._to, self._rate = to, rate

    def setup(self) -> None:
        self._writers = dict[str, Writer]()

    def start_bundle(self) -> None:
        self._in, self._out = step_counters(self._counted_as, ("in", "out"))
        self._started, self._sent = time.monotonic(), 0

    def process(self, letter: DeadLetter) -> Iterator[Sent]:
        self._in.inc()
        uri = self._to.of(letter) or ""
        self._writer(uri).write([sent_back(letter)])
        self._sent += 1
        if self._rate:
            self._pace(self._rate)
        self._out.inc()
        # Said before it is durable, but nobody hears it unless this bundle ends well.
        yield Sent(
            identity(letter),
            letter.last_failed_at,
            letter.fingerprint,
            letter.step,
            replays(letter) + 1,
            uri,
            time.time(),
        )

    def finish_bundle(self) -> None:
        self._flush()

    def teardown(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _writer(self, uri: str) -> Writer:
        if uri not in self._writers:
            self._to.check(uri)
            self._writers[uri] = open_queue(uri).writer()
        return self._writers[uri]

    def _pace(self, rate: float) -> None:
        if self._sent % max(1, int(rate / _TICKS)) == 0:
            self._flush()
            time.sleep(max(0.0, self._started + self._sent / rate - time.monotonic()))

    def _flush(self) -> None:
        for uri, writer in self._writers.items():
            for message, error in writer.flush():
                named: Any = message.attribute("message_id")
                raise QueueError(f"{uri} refuses the item {named.decode('utf-8', 'replace')}: {error}; see --where")
