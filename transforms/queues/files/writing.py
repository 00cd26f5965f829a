"""WriteFiles: the steps that write the files of a run."""

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
from .target import OpenShard, Shard, Target, remove, truncate

__all__ = ["WriteFiles", "run_id"]


def run_id() -> str:
    """A new id for the file names of a run: its start time and a random suffix."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


@RecordCoder.register
class _Published(NamedTuple):
    messages: int
    leftovers: tuple[str, ...]


class WriteFiles(beam.PTransform):
    """Writes a temporary file per bundle, and publishes all of them in one step when they are complete."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def expand(self, records: PCollection) -> PCollection:
        if type(records.pipeline.runner).__name__ in LOCAL:
            self._target.prepare(make=False)
        if records.element_type is DeadLetter and not format_of(self._target.path).keeps_letters:
            raise ValueError(
                f"{self._target.uri} can't hold all fields of a dead letter; write dead letters to .jsonl or .parquet"
            )
        run = run_id()
        shard = beam.ParDo(_Shard(self._target, run, records.element_type, records.is_bounded))
        shards = records | "Spool" >> shard.with_output_types(tuple[str, Shard])
        if records.is_bounded:
            shards |= "WholeRun" >> beam.WindowInto(GlobalWindows())
        elif isinstance(records.windowing.windowfn, GlobalWindows):
            raise ValueError(
                f"{self._target.uri} would be written only when an endless stream ends; "
                "apply beam.WindowInto(beam.window.FixedWindows(60)) first, to write files every minute"
            )
        return (
            shards
            | "Gather" >> beam.GroupByKey()
            | "Publish" >> beam.Map(_publish, self._target, run).with_output_types(_Published)
            # The steps after this may fail and be repeated without repeating the publication.
            | "Durable" >> beam.Reshuffle()
            | "Tidy" >> beam.Map(_tidy, self._target, records.is_bounded).with_output_types(Written)
        )


class _Shard(beam.DoFn):
    """Writes a temporary file per bundle, and per window if windows are published one by one."""

    def __init__(self, target: Target, run: str, record: Any, bounded: bool) -> None:
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
        key = None if self._bounded else window
        if key not in self._open:
            self._open[key] = (self._target.shard(self._run, self._record), timestamp, window)
        self._open[key][0].write(batch)
        return ()

    def finish_bundle(self) -> Iterator[Any]:
        while self._open:
            _, (shard, timestamp, window) = self._open.popitem()
            yield WindowedValue((self._target.path, shard.close()), timestamp, (window,))

    def teardown(self) -> None:
        """Removes files that are still open: their bundle has failed."""
        for shard, *_ in self._open.values():
            shard.discard()
        self._open = {}

    def get_input_batch_type(self, unused_input_type: Any) -> Any:
        return List[self._record]


def _publish(gathered: tuple[str, Iterable[Shard]], target: Target, run: str) -> _Published:
    shards = list(gathered[1])
    leftovers = target.publish(shards, run)
    return _Published(sum(shard.messages for shard in shards), tuple(leftovers))


def _tidy(published: _Published, target: Target, bounded: bool) -> Written:
    # An endless job may restart from a checkpoint before the publication, and must then detect the publication.
    (remove if bounded else truncate)(published.leftovers)
    return Written(target.uri, published.messages)
