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
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queues, source
from beam_patterns.transforms import Copier


class CopyQueueOptions(BetweenQueues):
    """The messages of a queue, copied to one or several others."""

    input: str = option(
        "The queue that is read.", example="'sqlite:///data/queues.db?topic=videos&group=copy'", type=source
    )
    outputs: tuple[str, ...] = option(
        "The queues that get a copy of each message, with spaces between them.",
        example="'kafka://localhost:9092/uhd kafka://localhost:9092/mobile'",
        type=queues,
    )

    @property
    def writes(self) -> dict[str, str]:
        """The output queues' URIs by the names of their branches."""
        return {f"copy{number}": uri for number, uri in enumerate(self.outputs, 1)}

    def option_of(self, name: str) -> str:
        """All of them are in one option."""
        return "--outputs"


def copy_queue(items: PCollection, o: CopyQueueOptions, unused_dead: ErrorHandler) -> dict[str, PCollection]:
    """The flow, without its queues."""
    if len(o.writes) == 1:
        return dict.fromkeys(o.writes, items)
    return (items | "Copy" >> Copier(*o.writes))._asdict()


def build(p: beam.Pipeline, o: CopyQueueOptions) -> Places:
    """The flow between the queues that the options name, and where its results are."""
    return between(p, o, copy_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(CopyQueueOptions, build, argv)
