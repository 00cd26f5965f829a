"""Copies the messages of a queue that meet a condition to another queue.

```
items --> Filter(--where) --> kept
             |         +--> not JSON, or a field is missing --> dead letters
             +-- dropped: counted
```

    python pipelines/filter_queue.py \\
        --input 'sqlite:///data/queues.db?topic=users&group=filter' \\
        --where 'item.email_opt_in && item.channel == "email"' \\
        --output 'sqlite:///data/queues.db?topic=by_mail' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

The condition is CEL (https://cel.dev), in which `item` is the message's JSON. A condition that is not valid, or whose
value can't be true or false, is an error before anything starts. A message that lacks a field of the condition goes to
the dead letters; write `has(item.channel) && item.channel == "email"` to drop such messages instead. Payload, key and
attributes are written as they were read.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-3 (the filter pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queue, source
from beam_patterns.pipelines.cel import Expression, condition, item_of
from beam_patterns.transforms import Filter
from beam_patterns.transforms.queues import Message


class FilterQueueOptions(BetweenQueues):
    """Copies the messages of a queue that meet a condition to another queue."""

    input: str = option(
        "The queue to read.", example="'sqlite:///data/queues.db?topic=users&group=filter'", type=source
    )
    where: Expression = option(
        "Which messages to keep, as a condition in CEL; item is the message's JSON.",
        example="'item.email_opt_in && item.channel == \"email\"'",
        type=condition,
    )
    output: str = option("The queue for kept messages.", example="'sqlite:///data/queues.db?topic=by_mail'", type=queue)

    @property
    def writes(self) -> dict[str, str]:
        return {"kept": self.output}


def filter_queue(items: PCollection[Message], o: FilterQueueOptions, dead: ErrorHandler) -> PCollection[Message]:
    """The graph without I/O: the kept messages."""
    return items | "Filter" >> Filter(o.where).with_view(item_of).with_error_handler(dead)


def build(p: beam.Pipeline, o: FilterQueueOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, filter_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(FilterQueueOptions, build, argv)
