"""Labels the items of a queue whose amount is large enough.

```
input --> Large: drop small amounts --> Label: a work queue --> output
            |                             |
            +-----------------------------+--> dead letters
```

    python my_flow.py \\
        --input 'sqlite:///data/queues.db?topic=items&group=my_flow' \\
        --output 'sqlite:///data/queues.db?topic=labels' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

An item is JSON with an id and an amount. A queue is a URI; see --help. Items that can't be read, or whose last attempt
fails, are in the dead letters with the reason. A run reads the messages that are new for its group and commits them
when all results are written.

On runners with remote workers (Flink, Dataflow) this file has to be in their image, next to beam-patterns.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__, package="")

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queue, source
from beam_patterns.transforms import Filter, WorkQueue
from beam_patterns.transforms.queues import Message


class MyFlowOptions(BetweenQueues):
    """Labels the items of a queue whose amount is large enough."""

    input: str = option(
        "The queue of items: JSON with id and amount.",
        example="'sqlite:///data/queues.db?topic=items&group=my_flow'",
        type=source,
    )
    output: str = option("The queue of labels.", example="'sqlite:///data/queues.db?topic=labels'", type=queue)
    least: int = option("Items with a smaller amount are dropped.", example="100", type=int, default=1)

    @property
    def writes(self) -> dict[str, str]:
        """The queues to write, by the name of the result."""
        return {"labels": self.output}


class IsLarge:
    """Whether an item has at least this amount.

    >>> IsLarge(10)({"id": "a", "amount": 12})
    True
    """

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, item: dict[str, Any]) -> bool:
        return bool(item["amount"] >= self._least)


def label(message: Message) -> Message:
    """The label of an item. Runs in a process of its own, so it may be slow, fail and be retried.

    >>> label(Message(b'{"id": "a", "amount": 12}')).json()
    {'id': 'a', 'label': '12 of a'}
    """
    item = message.json()
    return Message.of({"id": item["id"], "label": f"{item['amount']} of {item['id']}"}, key=message.key)


def flow(items: PCollection[Message], o: MyFlowOptions, dead: ErrorHandler) -> PCollection[Message]:
    """The graph without I/O: the labels."""
    large = items | "Large" >> Filter(IsLarge(o.least)).with_view(Message.json).with_error_handler(dead)
    labels: PCollection[Message] = large | "Label" >> WorkQueue(label, timeout=60).with_error_handler(dead)
    return labels


def build(p: beam.Pipeline, o: MyFlowOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, flow)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(MyFlowOptions, build, argv)
