"""Merges the messages of several queues into one.

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

The inputs may be of different kinds. Messages are not decoded: payload, key and attributes are written as they were
read. Messages of different inputs have no order. Each input is committed when all messages have been written.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-7 (the merger pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queue, sources
from beam_patterns.transforms import Merger
from beam_patterns.transforms.queues import Message


class MergeQueuesOptions(BetweenQueues):
    """Merges the messages of several queues into one."""

    inputs: tuple[str, ...] = option(
        "The queues to read, with spaces between them.",
        example="'kafka://localhost:9092/emails?group=merge kafka://localhost:9092/texts?group=merge'",
        type=sources,
    )
    output: str = option("The queue for all messages.", example="'sqlite:///data/queues.db?topic=notices'", type=queue)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inputs

    @property
    def writes(self) -> dict[str, str]:
        return {"merged": self.output}


def merge_queues(
    inputs: tuple[PCollection[Message], ...], unused_o: MergeQueuesOptions, unused_dead: ErrorHandler
) -> PCollection[Message]:
    """The graph without I/O: the messages of all inputs."""
    return inputs | "Merge" >> Merger()


def build(p: beam.Pipeline, o: MergeQueuesOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, merge_queues)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(MergeQueuesOptions, build, argv)
