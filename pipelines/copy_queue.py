"""Copies the messages of a queue to one or several others.

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

The outputs may be of different kinds, such as a topic and an archive in files. Messages are not decoded: payload, key
and attributes are written as they were read, and all copies carry the same `message_id`. Messages are committed when
every copy has been written.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-2 (the copier pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queues, source
from beam_patterns.transforms import Copier
from beam_patterns.transforms.queues import Message


class CopyQueueOptions(BetweenQueues):
    """Copies the messages of a queue to one or several others."""

    input: str = option("The queue to read.", example="'sqlite:///data/queues.db?topic=videos&group=copy'", type=source)
    outputs: tuple[str, ...] = option(
        "The queues that get a copy of each message, with spaces between them.",
        example="'kafka://localhost:9092/uhd kafka://localhost:9092/mobile'",
        type=queues,
    )

    @property
    def writes(self) -> dict[str, str]:
        return {f"copy{number}": uri for number, uri in enumerate(self.outputs, 1)}

    def option_of(self, name: str) -> str:
        return "--outputs"


def copy_queue(
    items: PCollection[Message], o: CopyQueueOptions, unused_dead: ErrorHandler
) -> dict[str, PCollection[Message]]:
    """The graph without I/O: one stream per output."""
    if len(o.outputs) == 1:
        return dict.fromkeys(o.writes, items)
    copies = items | "Copy" >> Copier(*o.writes)
    return dict(zip(o.writes, copies, strict=True))


def build(p: beam.Pipeline, o: CopyQueueOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, copy_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(CopyQueueOptions, build, argv)
