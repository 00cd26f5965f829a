"""The messages of several queues, in one.

```
input 1 -+
input 2 -+--> Merger --> output
...     -+
what the output can't hold --> dead letters
```

    python pipelines/merge_queues.py \\
        --inputs 'sqlite:///data/queues.db?topic=emails&group=merge sqlite:///data/queues.db?topic=texts&group=merge' \\
        --output 'sqlite:///data/queues.db?topic=notices' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

The inputs may be of different kinds. A message is not looked into: payload, key and attributes are written as they were
read, in no order between inputs. What was read of each input is committed when all is written.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-7 (the merger pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines.cli.script import run_as_module

    run_as_module(__file__)

import dataclasses
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines.runtime.options import Options, option, queue, sources
from beam_patterns.pipelines.runtime.queues import check_queues
from beam_patterns.pipelines.runtime.run import Ended, Places, launch
from beam_patterns.transforms import DeadLetters, Merger
from beam_patterns.transforms.queues import CommitOffsets, ReadFromQueue, WriteToQueue


@dataclasses.dataclass(frozen=True, kw_only=True)
class MergeQueuesOptions(Options):
    """The messages of several queues, in one."""

    inputs: tuple[str, ...] = option(
        "The queues that are read, with spaces between them.",
        example="'kafka://localhost:9092/emails?group=merge kafka://localhost:9092/texts?group=merge'",
        type=sources,
    )
    output: str = option("The queue for all of it.", example="'sqlite:///data/queues.db?topic=notices'", type=queue)
    dead_letters: str = option(
        "The queue for messages that the output can't hold, with the reason.",
        example="'sqlite:///data/queues.db?topic=dead_letters'",
        type=queue,
    )

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        writes = [("--output", self.output), ("--dead_letters", self.dead_letters)]
        check_queues([("--inputs", uri) for uri in self.inputs], writes, self.streaming)


def merge_queues(inputs: Sequence[PCollection]) -> PCollection:
    """The flow, without its queues."""
    return tuple(inputs) | "Merge" >> Merger()


def build(p: beam.Pipeline, o: MergeQueuesOptions) -> Places:
    """The flow between the queues that the options name, and where its results lie."""
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        inputs = [
            p | f"Read {number}" >> ReadFromQueue(uri).with_error_handler(dead)
            for number, uri in enumerate(o.inputs, 1)
        ]
        written = merge_queues(inputs) | "Write" >> WriteToQueue(o.output).with_error_handler(dead)
    (written, dead.output()) | "Commit" >> CommitOffsets(*inputs)
    return {"merged": o.output, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(MergeQueuesOptions, build, argv)
