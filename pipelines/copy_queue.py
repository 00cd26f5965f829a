"""The messages of a queue, copied to several others.

```
                  +--> copy 1
items --> Copier -+--> copy 2
                  +--> ...
what a queue can't hold --> dead letters
```

    python pipelines/copy_queue.py \\
        --input 'sqlite:///data/queues.db?topic=videos&group=copy' \\
        --outputs 'sqlite:///data/queues.db?topic=uhd sqlite:///data/queues.db?topic=mobile' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

The outputs may be of different kinds: an archive in files, say, beside a topic. A message is not looked into: payload,
key and attributes are written as they were read, and all copies carry the same `message_id`. What was read is committed
when every copy is written.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-2 (the copier pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines.cli.script import run_as_module

    run_as_module(__file__)

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines.runtime.options import Options, option, queue, queues, source
from beam_patterns.pipelines.runtime.queues import check_queues
from beam_patterns.pipelines.runtime.run import Ended, Places, launch
from beam_patterns.transforms import Copier, DeadLetters
from beam_patterns.transforms.queues import CommitOffsets, ReadFromQueue, WriteToQueue


@dataclasses.dataclass(frozen=True, kw_only=True)
class CopyQueueOptions(Options):
    """The messages of a queue, copied to several others."""

    input: str = option(
        "The queue that is read.", example="'sqlite:///data/queues.db?topic=videos&group=copy'", type=source
    )
    outputs: tuple[str, ...] = option(
        "The queues that get a copy of each message, with spaces between them.",
        example="'kafka://localhost:9092/uhd kafka://localhost:9092/mobile'",
        type=queues,
    )
    dead_letters: str = option(
        "The queue for messages that an output can't hold, with the reason.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        writes = [*(("--outputs", uri) for uri in self.outputs), ("--dead_letters", self.dead_letters)]
        check_queues([("--input", self.input)], writes, self.streaming)

    @property
    def copies(self) -> dict[str, str]:
        """The output queues' URIs by the names of their branches."""
        return {f"copy{number}": uri for number, uri in enumerate(self.outputs, 1)}


def copy_queue(items: PCollection, o: CopyQueueOptions) -> dict[str, PCollection]:
    """The flow, without its queues."""
    return (items | "Copy" >> Copier(*o.copies))._asdict()


def build(p: beam.Pipeline, o: CopyQueueOptions) -> Places:
    """The flow between the queues that the options name, and where its results lie."""
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        items = p | "Read" >> ReadFromQueue(o.input).with_error_handler(dead)
        written = [
            copy | f"Write {name}" >> WriteToQueue(o.copies[name]).with_error_handler(dead)
            for name, copy in copy_queue(items, o).items()
        ]
    (*written, dead.output()) | "Commit" >> CommitOffsets(items)
    return {**o.copies, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(CopyQueueOptions, build, argv)
