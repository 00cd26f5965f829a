"""A pattern between queues: reads, a flow, writes, dead letters, one commit."""

from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetters
from beam_patterns.transforms.queues import CommitOffsets, ReadFromQueue, WriteToQueue

from .options import Options, option, queue
from .queues import check_queues
from .run import Places

__all__ = ["BetweenQueues", "between"]


class BetweenQueues(Options):
    """Options of a pattern between queues: adds `dead_letters` and the checks of queues.

    A subclass with an option `input` says in `writes` which queues its results go to.
    """

    dead_letters: str = option(
        "The queue for messages that failed, with the reason.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )

    @property
    def reads(self) -> tuple[str, ...]:
        """URIs of the queues to read."""
        return (self.input,)  # type: ignore[attr-defined]

    @property
    def writes(self) -> Mapping[str, str]:
        """URIs of the queues to write, by the name of the result."""
        raise NotImplementedError

    def option_of(self, name: str) -> str:
        """The option that names the queue of a result, for error messages."""
        return "--output"

    def check(self) -> None:
        """Raises ValueError for queues that can't be read and written together."""
        writes = [(self.option_of(name), uri) for name, uri in self.writes.items()]
        reads = [("--input" if len(self.reads) == 1 else "--inputs", uri) for uri in self.reads]
        check_queues(reads, [*writes, ("--dead_letters", self.dead_letters)], self.streaming)


def between(p: beam.Pipeline, o: BetweenQueues, flow: Callable[..., Any]) -> Places:
    """Builds a flow between the queues that the options name; returns where its results are.

    Args:
        p: the pipeline.
        o: its options.
        flow: the graph without I/O: called with the messages (a tuple of streams if several queues are read), the
            options and the error handler. It returns one stream, or a mapping of streams by name.
    """
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        labels = ["Read"] if len(o.reads) == 1 else [f"Read {number}" for number in range(1, len(o.reads) + 1)]
        reads = [
            p | label >> ReadFromQueue(uri).with_error_handler(dead) for label, uri in zip(labels, o.reads, strict=True)
        ]
        results = flow(reads[0] if len(reads) == 1 else tuple(reads), o, dead)
        if isinstance(results, PCollection):
            results = {"": results}
        written = [
            stream | f"Write {name}".rstrip() >> WriteToQueue(uri).with_error_handler(dead)
            for (name, stream), uri in zip(results.items(), o.writes.values(), strict=True)
        ]
    (*written, dead.output()) | "Commit" >> CommitOffsets(*reads)
    return {**o.writes, "dead letters": o.dead_letters}
