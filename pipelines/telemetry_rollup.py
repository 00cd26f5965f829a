"""User telemetry, rolled up per metric and window of time: count, sum, quantiles, distinct users.

```
{"metric": "page_load_ms",                              {"metric": "page_load_ms", "from": "...", "to": "...",
 "user": "u17",            --> check --> window --> Reduce --> "count": 812, "sum": 190231.5, "p50": 180.2,
 "value": 231.5,                 |                       "p95": 512.0, "p99": 903.1, "users": 96, ...}
 "at": "2026-03-01T12:00:07Z"}   +--> dead letters: what is no event, and what came too late
```

    python pipelines/telemetry_rollup.py --events '/data/events-*.jsonl' --output rollup.jsonl --window 5m \\
        --dead_letters dead.jsonl
    python pipelines/telemetry_rollup.py --runner PrismRunner --streaming --window 1m --allowed_lateness 10m \\
        --events 'kafka://localhost:9092/telemetry?group=rollup' --output 'kafka://localhost:9092/rollup' \\
        --dead_letters 'kafka://localhost:9092/dead'

An event counts in the window of its own time, `at`. A bounded run has everything before it closes a window, so nothing
is late. With --streaming a window is told when it ends, and once more, whole, for each event that comes up to
--allowed_lateness later: the message's key is metric and window, the last one counts. What comes later still is a dead
letter that says how late it was, judged by the time its record has in the queue; a runner may drop without a word what
is also older there than records before it in its partition, so let the queue stamp its records (Kafka:
message.timestamp.type=LogAppendTime). Quantiles are off by at most 1 % in rank, distinct users by about 1 %.

Source: Burns, Designing Distributed Systems, chapter 10 (user telemetry), chapter 12 (reduce, histogram); Akidau et
al., The Dataflow Model (2015).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows

from beam_patterns.pipelines import (
    Ended,
    Options,
    Places,
    check_queues,
    duration,
    is_idle,
    launch,
    option,
    queue,
    source,
)
from beam_patterns.pipelines.parts.telemetry.events import Event, InTime, arrived, at_its_time
from beam_patterns.pipelines.parts.telemetry.rollup import Rolled, RollUp
from beam_patterns.transforms import DeadLetters, Map, Reduce
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue


class TelemetryRollupOptions(Options):
    """User telemetry per metric and window of time: count, sum, quantiles, distinct users."""

    events: str = option(
        "The queue of events: JSON with metric, user, value and at (a time with its zone).",
        example="'/data/events-*.jsonl'",
        type=source,
    )
    output: str = option("The queue for the windows, a message each.", example="rollup.jsonl", type=queue)
    dead_letters: str = option(
        "The queue for what is no event and for what came too late, with the reason.",
        example="dead.jsonl",
        type=queue,
    )
    window: timedelta = option(
        "How long a window is: 30s, 5m, 1h, 1d; windows begin at whole multiples of it, in UTC.",
        example="5m",
        type=duration,
        default=timedelta(minutes=5),
    )
    allowed_lateness: timedelta = option(
        "With --streaming: how long after its end a window still takes events.",
        example="10m",
        type=duration,
        default=timedelta(minutes=10),
    )

    totals: ClassVar[bool] = True

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        if self.window < timedelta(seconds=1):
            raise ValueError("--window: a window lasts a second at least, write for instance --window 5m")
        writes = [("--output", self.output), ("--dead_letters", self.dead_letters)]
        check_queues([("--events", self.events)], writes, self.streaming)


def telemetry_rollup(messages: PCollection, *, window: float, lateness: float, dead: ErrorHandler) -> PCollection:
    """The flow, from messages to a message per metric and window."""
    windowed = beam.WindowInto(FixedWindows(window))
    if messages.is_bounded:
        events = messages | "Check" >> Map(Event.of).with_error_handler(dead)
    else:
        events = (
            messages
            | "Arrived" >> beam.Map(arrived).with_output_types(Message)
            | "Check" >> Map(InTime(window, lateness)).with_error_handler(dead)
        )
        windowed = beam.WindowInto(
            FixedWindows(window),
            trigger=AfterWatermark(late=AfterCount(1)),
            accumulation_mode=AccumulationMode.ACCUMULATING,
            allowed_lateness=lateness,
        )
    return (
        events
        | "ItsTime" >> beam.Map(at_its_time).with_output_types(Event)
        | "Window" >> windowed
        | "RollUp" >> Reduce(RollUp(), key="metric")
        | "Tell" >> beam.Map(as_message).with_output_types(Message)
    )


def as_message(pair: tuple[str, Rolled], window: Any = beam.DoFn.WindowParam) -> Message:
    """What is told of a metric in a window."""
    metric, rolled = pair
    since, until = (datetime.fromtimestamp(float(end), UTC).isoformat() for end in (window.start, window.end))
    data = {"metric": metric, "from": since, "to": until, "sum": rolled.total, "mean": rolled.total / rolled.count}
    rest = {name: value for name, value in rolled._asdict().items() if name != "total"}
    return Message.of({**data, **rest}, key=f"{metric}/{since}".encode(), timestamp=float(window.end))


def build(p: beam.Pipeline, o: TelemetryRollupOptions) -> Places | None:
    """The flow between the queues that the options name, and where its results lie; None if there is nothing to do."""
    if not o.streaming and is_idle(o.events):
        return None
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        messages = p | "Read" >> ReadFromQueue(o.events).with_error_handler(dead)
        rolled = telemetry_rollup(
            messages, window=o.window.total_seconds(), lateness=o.allowed_lateness.total_seconds(), dead=dead
        )
        written = rolled | "Write" >> WriteToQueue(o.output)
    (written, dead.output()) | "Commit" >> CommitOffsets(messages)
    return {"windows": o.output, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code, with the balance."""
    return launch(TelemetryRollupOptions, build, argv)
