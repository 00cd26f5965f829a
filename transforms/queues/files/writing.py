"""The steps that write a run's files."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import List
from apache_beam.utils.windowed_value import WindowedValue

from ...base.coders import RecordCoder
from ...base.dead_letter import DeadLetter
from ...base.runners import LOCAL
from ..write import Written
from .format import format_of
from .target import OpenShard, Shard, Target, empty, remove

__all__ = ["WriteFiles", "run_id"]


def run_id() -> str:
    """What the files of a run have in their names: when it began, and a few letters of its own."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


@RecordCoder.register
class _Published(NamedTuple):
    messages: int
    leftovers: tuple[str, ...]


class WriteFiles(beam.PTransform):
    """Each bundle writes a temporary file; when all are complete, they are published, in one step and by rename."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def expand(self, records: PCollection) -> PCollection:
        """What has been published."""
        if type(records.pipeline.runner).__name__ in LOCAL:
            self._target.prepare(make=False)
        if records.element_type is DeadLetter and not format_of(self._target.path).keeps_letters:
            raise ValueError(f"{self._target.uri} can't hold all of a dead letter; write them to .jsonl or .parquet")
        run = run_id()
        shard = beam.ParDo(_Shard(self._target, run, records.element_type, records.is_bounded))
        shards = records | "Spool" >> shard.with_output_types(tuple[str, Shard])
        if records.is_bounded:
            shards |= "WholeRun" >> beam.WindowInto(GlobalWindows())
        elif isinstance(records.windowing.windowfn, GlobalWindows):
            raise ValueError(
                f"{self._target.uri} would be written when an endless stream ends; "
                "put beam.WindowInto(beam.window.FixedWindows(60)) before, and files appear minute by minute"
            )
        return (
            shards
            | "Gather" >> beam.GroupByKey()
            | "Publish" >> beam.ParDo(_Publish(self._target, run)).with_output_types(_Published)
            # What follows may fail and be repeated; the publication is not.
            | "Durable" >> beam.Reshuffle()
            | "Tidy" >> beam.ParDo(_Tidy(self._target, records.is_bounded)).with_output_types(Written)
        )


class _Shard(beam.DoFn):
    """A temporary file per bundle, and per window where windows are published one by one."""

    def __init__(self, target: Target, run: str, record: type, bounded: bool) -> None:
        self._target, self._run, self._record, self._bounded = target, run, record, bounded
        self._open: dict[Any, tuple[OpenShard, Any, Any]] = {}

    def setup(self) -> None:
        self._target.prepare(make=True)

    def start_bundle(self) -> None:
        self.teardown()

    @beam.DoFn.yields_elements
    def process_batch(
        self, batch: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        place = None if self._bounded else window
        if place not in self._open:
            self._open[place] = (self._target.shard(self._run, self._record), timestamp, window)
        self._open[place][0].write(batch)
        return ()

    def finish_bundle(self) -> Iterator[Any]:
        while self._open:
            _, (shard, timestamp, window) = self._open.popitem()
            yield WindowedValue((self._target.path, shard.close()), timestamp, [window])

    def teardown(self) -> None:
        """What is still open belongs to a bundle that failed."""
        for shard, *_ in self._open.values():
            shard.discard()
        self._open = {}

    def get_input_batch_type(self, unused_input_type: Any) -> Any:
        return List[self._record]


class _Publish(beam.DoFn):
    def __init__(self, target: Target, run: str) -> None:
        self._target, self._run = target, run

    def process(self, gathered: tuple[str, Iterable[Shard]]) -> Iterator[_Published]:
        shards = list(gathered[1])
        leftovers = self._target.publish(shards, self._run)
        yield _Published(sum(shard.messages for shard in shards), tuple(leftovers))


class _Tidy(beam.DoFn):
    def __init__(self, target: Target, bounded: bool) -> None:
        self._target = target
        # An endless job may be set back to a checkpoint before the publication, and must then see that it took place.
        self._tidy = remove if bounded else empty

    def process(self, published: _Published) -> Iterator[Written]:
        self._tidy(published.leftovers)
        yield Written(self._target.uri, published.messages)
