"""Divides the messages of a queue among several others by conditions.

```
                    +--> email:     item.tell == "email"
items --> Splitter -+--> sms:       item.tell == "sms"
             |      +--> otherwise: all other messages
             +--> not JSON, or a field is missing --> dead letters
```

    python pipelines/split_queue.py \\
        --input 'sqlite:///data/queues.db?topic=orders&group=split' \\
        --cases 'email: item.tell == "email"; sms: item.tell == "sms"' \\
        --output 'sqlite:///data/queues.db?topic=tell-' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

writes to tell-email, tell-sms and tell-otherwise. A message goes to the first case, in the given order, whose condition
is true; with --every_match to all such cases. The conditions are CEL (https://cel.dev), in which `item` is the
message's JSON, decoded once for all of them. A condition that is not valid, or whose value can't be true or false, is
an error before anything starts; a message that lacks a field of a condition goes to the dead letters. Payload, key and
attributes are written as they were read.

Source: Burns, Designing Distributed Systems, chapter 11, figure 11-4 (the splitter pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, prefix, source, switch
from beam_patterns.pipelines.cel import Expression, cases, item_of
from beam_patterns.transforms import Splitter
from beam_patterns.transforms.queues import Message, queue_under


class SplitQueueOptions(BetweenQueues):
    """Divides the messages of a queue among several others by conditions."""

    input: str = option(
        "The queue to read.", example="'sqlite:///data/queues.db?topic=orders&group=split'", type=source
    )
    cases: Mapping[str, Expression] = option(
        "The cases: names with conditions in CEL, semicolons between them; item is the message's JSON.",
        example='\'email: item.tell == "email"; sms: item.tell == "sms"\'',
        type=cases,
    )
    output: str = option(
        "How the URIs of the output queues begin; the case's name, or otherwise, is appended (files end in .jsonl).",
        example="'kafka://localhost:9092/tell-'",
        type=prefix,
    )
    every_match: bool = option(
        "Send a message to every matching case, not only to the first.", example="true", type=switch, default=False
    )

    def check(self) -> None:
        try:
            self.splitter()
        except ValueError as error:
            raise ValueError(f"--cases: {error}") from None
        super().check()

    def splitter(self) -> Splitter:
        """The splitter that the options describe."""
        splitter = Splitter(**self.cases)
        return splitter.with_every_match() if self.every_match else splitter

    @property
    def writes(self) -> dict[str, str]:
        return {name: queue_under(self.output, name) for name in (*self.cases, "otherwise")}

    def option_of(self, name: str) -> str:
        return f"--output with {name!r}"


def split_queue(
    items: PCollection[Message], o: SplitQueueOptions, dead: ErrorHandler
) -> dict[str, PCollection[Message]]:
    """The graph without I/O: one stream per case, and the rest."""
    branches = items | "Split" >> o.splitter().with_view(item_of).with_error_handler(dead)
    return dict(zip(o.writes, branches, strict=True))


def build(p: beam.Pipeline, o: SplitQueueOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, split_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(SplitQueueOptions, build, argv)
