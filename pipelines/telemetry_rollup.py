"""Rolls up user telemetry per metric and time window: count, sum, quantiles, distinct users.

```
{"metric": "page_load_ms",                              {"metric": "page_load_ms", "from": "...", "to": "...",
 "user": "u17",            --> check --> window --> Reduce --> "count": 812, "sum": 190231.5, "p50": 180.2,
 "value": 231.5,                 |                       "p95": 512.0, "p99": 903.1, "users": 96, ...}
 "at": "2026-03-01T12:00:07Z"}   +--> dead letters: invalid events, and events that came too late
```

    python pipelines/telemetry_rollup.py --events '/data/events-*.jsonl' --output rollup.jsonl --window 5m \\
        --dead_letters dead.jsonl
    python pipelines/telemetry_rollup.py --runner PrismRunner --streaming --window 1m --allowed_lateness 10m \\
        --events 'kafka://localhost:9092/telemetry?group=rollup' --output 'kafka://localhost:9092/rollup' \\
        --dead_letters 'kafka://localhost:9092/dead'

An event counts in the window of its own time, `at`. A bounded run reads everything before it closes a window, so no
event is late. With --streaming a window's message is written when the window ends, and again, with the new totals, for
each event that comes up to --allowed_lateness later; the message's key is metric and window, and the last message
counts. An event that comes even later becomes a dead letter that says how late it was, by the time of its record in the
queue. A runner may silently drop such an event if its record is also older than records before it in its partition, so
let the queue set the times of its records (Kafka: message.timestamp.type=LogAppendTime). The error of a quantile's rank
is at most 1 %, that of the number of distinct users about 1 %.

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

from beam_patterns.pipelines import Ended, Options, Places, duration, launch, option, queue, source
from beam_patterns.pipelines.parts.telemetry.events import Event, InTime, arrived, at_its_time
from beam_patterns.pipelines.parts.telemetry.rollup import Rolled, RollUp
from beam_patterns.pipelines.runtime.queues import check_queues, is_idle
from beam_patterns.transforms import DeadLetters, Map, Reduce
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue


class TelemetryRollupOptions(Options):
    """Rolls up user telemetry per metric and time window: count, sum, quantiles, distinct users."""

    events: str = option(
        "The queue of events: JSON with metric, user, value and at (a time with its zone).",
        example="'/data/events-*.jsonl'",
        type=source,
    )
    output: str = option("The queue for the windows, one message each.", example="rollup.jsonl", type=queue)
    dead_letters: str = option(
        "The queue for invalid events and for events that came too late, with the reason.",
        example="dead.jsonl",
        type=queue,
    )
    window: timedelta = option(
        "The length of a window: 30s, 5m, 1h, 1d; windows begin at whole multiples of it, in UTC.",
        example="5m",
        type=duration,
        default=timedelta(minutes=5),
    )
    allowed_lateness: timedelta = option(
        "With --streaming: how long after its end a window still accepts events.",
        example="10m",
        type=duration,
        default=timedelta(minutes=10),
    )

    totals: ClassVar[bool] = True

    def check(self) -> None:
        if self.window < timedelta(seconds=1):
            raise ValueError("--window: a window lasts at least a second; write, for example, --window 5m")
        writes = [("--output", self.output), ("--dead_letters", self.dead_letters)]
        check_queues([("--events", self.events)], writes, self.streaming)


def telemetry_rollup(
    messages: PCollection[Message], *, window: float, lateness: float, dead: ErrorHandler
) -> PCollection[Message]:
    """The graph without I/O: messages to a message per metric and window."""
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
    """The message about a metric in a window."""
    metric, rolled = pair
    since, until = (datetime.fromtimestamp(float(end), UTC).isoformat() for end in (window.start, window.end))
    data = {"metric": metric, "from": since, "to": until, "sum": rolled.total, "mean": rolled.total / rolled.count}
    rest = {name: value for name, value in rolled._asdict().items() if name != "total"}
    return Message.of({**data, **rest}, key=f"{metric}/{since}".encode(), timestamp=float(window.end))


def build(p: beam.Pipeline, o: TelemetryRollupOptions) -> Places | None:
    """The graph between the queues of the options; returns where the results are, or None if nothing is new."""
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
    """Runs the pipeline with the options of a command line; returns the exit code, with the balance."""
    return launch(TelemetryRollupOptions, build, argv)
