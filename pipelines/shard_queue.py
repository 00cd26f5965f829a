"""Divides the messages of a queue among shards by a stable hash of a key.

```
                   +--> shard 0
items --> Sharder -+--> shard 1
             |     +--> ...
             +--> not JSON, or no key --> dead letters
```

    python pipelines/shard_queue.py \\
        --input 'sqlite:///data/queues.db?topic=users&group=shard' \\
        --shards 4 --key item.user_id \\
        --output 'sqlite:///data/queues.db?topic=users-' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters'

writes to users-0, users-1, users-2 and users-3. Messages of a key share a shard, whichever run or machine writes them:
the partition that Kafka's default partitioner (murmur2) would choose in a topic with as many partitions. --key is CEL
(https://cel.dev), in which `item` is the message's JSON, and gives text or a whole number. Without --key messages are
not decoded: the message's own key decides, or its payload if it has no key. Payload, key and attributes are written as
they were read.

Source: Burns, Designing Distributed Systems, chapter 11 (the sharder pattern).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, prefix, source
from beam_patterns.pipelines.cel import Expression, item_of, key
from beam_patterns.transforms import Sharder
from beam_patterns.transforms.queues import Message, queue_under


class ShardQueueOptions(BetweenQueues):
    """Divides the messages of a queue among shards by a stable hash of a key."""

    input: str = option("The queue to read.", example="'sqlite:///data/queues.db?topic=users&group=shard'", type=source)
    shards: int = option("The number of shards.", example="4", type=int)
    output: str = option(
        "How the URIs of the output queues begin; the shard's number, from 0, is appended (files end in .jsonl).",
        example="'kafka://localhost:9092/users-'",
        type=prefix,
    )
    key: Expression | None = option(
        "The key, text or a whole number, in CEL; item is the message's JSON. Default: the message's own key.",
        example="item.user_id",
        type=key,
        default=None,
    )

    def check(self) -> None:
        if self.shards < 1:
            raise ValueError(f"--shards: {self.shards} is less than 1; use 1 or more")
        super().check()

    @property
    def writes(self) -> dict[str, str]:
        return {f"shard {number}": queue_under(self.output, str(number)) for number in range(self.shards)}

    def option_of(self, name: str) -> str:
        return f"--output with {name.removeprefix('shard ')}"


def shard_queue(
    items: PCollection[Message], o: ShardQueueOptions, dead: ErrorHandler
) -> dict[str, PCollection[Message]]:
    """The graph without I/O: one stream per shard."""
    sharder = Sharder(o.shards, o.key).with_view(item_of) if o.key else Sharder(o.shards)
    shards = items | "Shard" >> sharder.with_error_handler(dead)
    return {str(number): shard for number, shard in enumerate(shards)}


def build(p: beam.Pipeline, o: ShardQueueOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, shard_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(ShardQueueOptions, build, argv)
