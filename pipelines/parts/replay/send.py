"""Sending items back."""

import time
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Tuple

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import RecordCoder, step_counters
from beam_patterns.transforms.queues import MESSAGE_ID, QueueError, Writer, open_queue

from .letters import identity, replays, sent_back
from .target import Target

__all__ = ["JournalEntry", "SendBack"]

#: Number of flushes per second if there is a rate.
_FLUSHES = 10


@RecordCoder.register
class JournalEntry(NamedTuple):
    """A line of the journal: which item was sent where, and when."""

    message_id: str
    failed_at: float
    fingerprint: str
    step: str
    replays: int
    to: str
    sent_at: float


class SendBack(beam.PTransform):
    """Sends items back to their source queues, as the messages they were. Returns a JournalEntry for each durable one.

    Not WriteToQueue, because each letter has its own queue.

    Args:
        to: the queues.
        rate: number of items per second, sent by one worker; 0: as fast as possible, by all workers.
    """

    def __init__(self, to: Target, rate: float = 0.0) -> None:
        super().__init__()
        self._to, self._rate = to, rate

    def expand(self, letters: PCollection) -> PCollection:
        if self._rate:
            letters = (
                letters
                | "Pair" >> beam.Map(_pair).with_output_types(Tuple[int, DeadLetter])
                | "InOne" >> beam.GroupByKey()
                | "Values" >> beam.FlatMap(itemgetter(1)).with_output_types(DeadLetter)
            )
        return letters | "Send" >> beam.ParDo(_Send(self._to, self._rate)).with_output_types(JournalEntry)


def _pair(letter: DeadLetter) -> tuple[int, DeadLetter]:
    return 0, letter


class _Send(beam.DoFn):
    def __init__(self, to: Target, rate: float) -> None:
        self._to, self._rate = to, rate

    def setup(self) -> None:
        self._writers = dict[str, Writer]()

    def start_bundle(self) -> None:
        self._in, self._out = step_counters("SendBack", ("in", "out"))
        self._started, self._sent = time.monotonic(), 0

    def process(self, letter: DeadLetter) -> Iterator[JournalEntry]:
        self._in.inc()
        uri = self._to.of(letter) or ""
        self._writer(uri).write([sent_back(letter)])
        self._sent += 1
        if self._rate:
            self._pace()
        self._out.inc()
        # Emitted before the flush: downstream sees it only if the bundle commits.
        item, failure = identity(letter), (letter.last_failed_at, letter.fingerprint, letter.step)
        yield JournalEntry(item, *failure, replays(letter) + 1, uri, time.time())

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

    def _pace(self) -> None:
        if self._sent % max(1, int(self._rate / _FLUSHES)) == 0:
            self._flush()
            time.sleep(max(0.0, self._started + self._sent / self._rate - time.monotonic()))

    def _flush(self) -> None:
        for uri, writer in self._writers.items():
            for message, error in writer.flush():
                name = (message.attribute(MESSAGE_ID) or b"").decode("utf-8", "replace")
                raise QueueError(f"{uri} rejected the item {name}: {error}; leave it out with --where")
