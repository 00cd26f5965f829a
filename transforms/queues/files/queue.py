"""Files as queues: plain paths, file:///... and gs://..., with the format given by the suffix."""

from collections.abc import Iterator, Sequence

import apache_beam as beam

from ...base.errors import QueueError, UnreadableError
from ...base.files import file_errors, find_files, is_pattern
from ...base.message import Message
from ..queue import Queue, Rejected, Split, Writer
from ..uri import QueueUri
from .format import format_of
from .items import FileItems, are_file_items
from .paths import PathQueue
from .target import OpenShard, Target, remove
from .writing import WriteFiles, run_id

__all__ = ["FileQueue"]


class FileQueue(PathQueue):
    """The files that a path names: `/data/in.jsonl`, `/data/*.csv`, `gs://bucket/out-*.parquet`.

    Every run reads whole files; they keep no positions. See docs/queues.md for the formats.
    """

    def __init__(self, uri: QueueUri) -> None:
        super().__init__(uri)
        if self._path.endswith("/"):
            raise ValueError(f"the queue {uri.text} is a folder; name the files in it: {uri.text}*.jsonl")
        self._format = format_of(self._path)

    @classmethod
    def open(cls, uri: QueueUri) -> Queue:
        return FileItems(uri) if are_file_items(uri) else cls(uri)

    def check_writable(self) -> None:
        self.target()

    def splits(self) -> list[Split]:
        with file_errors(self._path, "read"):
            found = find_files(self._path)
        if not found:
            path = self._path
            missing = f"no file matches {path}" if is_pattern(path) else f"the file {path} does not exist"
            raise QueueError(f"{missing}; check the path, or leave this queue out of the run")
        return [Split(file.path, *part) for file in found for part in self._format.ranges(file.size)]

    def read(self, split: Split) -> Iterator[list[Message] | UnreadableError]:
        """The messages of a part. Their `source` is path, 0, and the byte (lines) or the row (CSV, Parquet)."""
        with file_errors(split.partition, "read"):
            yield from self._format.read(split)

    def as_stored(self, message: Message) -> Message:
        return self._format.as_stored(message)

    def writer(self) -> Writer:
        """A writer that publishes at each flush, as a run of its own."""
        return _FileWriter(self)

    def write_transform(self) -> beam.PTransform | None:
        """Writes temporary files beside the target and publishes them when all are complete."""
        return WriteFiles(self.target())

    def target(self) -> Target:
        """Where a run writes. Raises ValueError if the path can only be read."""
        return Target.of(self._path, self.uri.text)


class _FileWriter(Writer):
    """Writes without a pipeline. A flush makes everything that was written since the last one visible at once."""

    def __init__(self, queue: FileQueue) -> None:
        self._queue, self._target, self._rejected = queue, queue.target(), list[Rejected]()
        self._shard: OpenShard | None = None
        self._target.prepare(make=True)

    def write(self, messages: Sequence[Message]) -> None:
        stored = list[Message]()
        for message in messages:
            try:
                stored.append(self._queue.as_stored(message))
            except ValueError as error:
                self._rejected.append(Rejected(message, error))
        if stored:
            self._shard = self._shard or self._target.shard(run_id(), Message)
            self._shard.write(stored)

    def flush(self) -> list[Rejected]:
        if self._shard is not None:
            shard, self._shard = self._shard.close(), None
            remove(self._target.publish([shard], run_id()))
        rejected, self._rejected = self._rejected, []
        return rejected

    def close(self) -> None:
        if self._shard is not None:
            self._shard.discard()
