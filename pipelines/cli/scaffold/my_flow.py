"""Items that are large enough, each with its label.

```
input --> Large: of the least amount or more --> Label: a work queue --> output
            |                                      |
            +--------------------------------------+--> dead letters
```

    python my_flow.py \\
        --input 'sqlite:///data/queues.db?topic=items&group=my_flow' \\
        --output 'sqlite:///data/queues.db?topic=labels' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

An item is JSON with an id and an amount; a queue is a URI, see --help. What can't be read or fails for the last time is
in the dead letters, with the reason. A run reads what is new for its group, and commits it when all is written.

On runners with workers elsewhere (Flink, Dataflow) this file has to be in their image, as beam-patterns has.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__, package="")

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queue, source
from beam_patterns.transforms import Filter, WorkQueue
from beam_patterns.transforms.queues import Message


class MyFlowOptions(BetweenQueues):
    """Items that are large enough, each with its label."""

    input: str = option(
        "The queue of items: JSON with id and amount.",
        example="'sqlite:///data/queues.db?topic=items&group=my_flow'",
        type=source,
    )
    output: str = option("The queue of labels.", example="'sqlite:///data/queues.db?topic=labels'", type=queue)
    least: int = option("Items of a smaller amount are dropped.", example="100", type=int, default=1)

    @property
    def writes(self) -> dict[str, str]:
        """The queues that are written, by the name of the result."""
        return {"labels": self.output}


class IsLarge:
    """Whether an item counts.

    >>> IsLarge(10)({"id": "a", "amount": 12})
    True
    """

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, item: dict) -> bool:
        """What a Filter asks, of the JSON in the message."""
        return item["amount"] >= self._least


def label(message: Message) -> Message:
    """The work on one item, in a process of its own: it may take its time, fail and be tried again.

    >>> label(Message(b'{"id": "a", "amount": 12}')).json()
    {'id': 'a', 'label': '12 of a'}
    """
    item = message.json()
    return Message.of({"id": item["id"], "label": f"{item['amount']} of {item['id']}"}, key=message.key)


def flow(items: PCollection, o: MyFlowOptions, dead: ErrorHandler) -> PCollection:
    """The flow, without its queues."""
    large = items | "Large" >> Filter(IsLarge(o.least)).with_view(Message.json).with_error_handler(dead)
    return large | "Label" >> WorkQueue(label, attempts=3, timeout=60).with_error_handler(dead)


def build(p: beam.Pipeline, o: MyFlowOptions) -> Places:
    """The flow between the queues that the options name, and where its results are."""
    return between(p, o, flow)


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code."""
    return launch(MyFlowOptions, build, argv)
