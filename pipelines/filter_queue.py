"""The messages of a queue that meet a condition, in another queue.

```
items --> Filter(--where) --> kept
             |         +--> no JSON, or no answer --> dead letters
             +-- dropped: counted
```

    python pipelines/filter_queue.py \\
        --input 'sqlite:///data/queues.db?topic=users&group=filter' \\
        --where 'item.email_opt_in && item.channel == "email"' \\
        --output 'sqlite:///data/queues.db?topic=by_mail' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

The condition is CEL (https://cel.dev), in which `item` is the message's JSON. Text in it that does not parse, or can't
be true or false, is refused before anything starts. A message about which it gives no answer, because a field is
missing, goes to the dead letters; `has(item.channel) && item.channel == "email"` says what is meant then. Payload, key
and attributes are written as they were read.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-3 (the filter pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import (
    BetweenQueues,
    Ended,
    Expression,
    Places,
    between,
    condition,
    item_of,
    launch,
    option,
    queue,
    source,
)
from beam_patterns.transforms import Filter


class FilterQueueOptions(BetweenQueues):
    """The messages of a queue that meet a condition, in another queue."""

    input: str = option(
        "The queue that is read.", example="'sqlite:///data/queues.db?topic=users&group=filter'", type=source
    )
    where: Expression = option(
        "Which messages pass, as a condition in CEL; item is the message's JSON.",
        example="'item.email_opt_in && item.channel == \"email\"'",
        type=condition,
    )
    output: str = option("The queue for what passes.", example="'sqlite:///data/queues.db?topic=by_mail'", type=queue)

    @property
    def writes(self) -> dict[str, str]:
        """The queue for what passes."""
        return {"kept": self.output}


def filter_queue(items: PCollection, o: FilterQueueOptions, dead: ErrorHandler) -> PCollection:
    """The flow, without its queues."""
    return items | "Filter" >> Filter(o.where).with_view(item_of).with_error_handler(dead)


def build(p: beam.Pipeline, o: FilterQueueOptions) -> Places:
    """The flow between the queues that the options name, and where its results are."""
    return between(p, o, filter_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(FilterQueueOptions, build, argv)
