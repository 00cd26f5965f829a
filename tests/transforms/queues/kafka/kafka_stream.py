"""An endless run, which tests kill: python -m tests.transforms.queues.kafka.kafka_stream SOURCE TARGET ENDPOINT."""

import logging
import sys
from collections.abc import Callable

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from beam_patterns.transforms import Filter
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue


def wanted(order: dict[str, int]) -> bool:
    """Whether the number is not a multiple of ten."""
    return order["number"] % 10 != 0


def at_own_time(message: Message) -> TimestampedValue:
    """The message with its own time as the element's timestamp."""
    return TimestampedValue(message, message.timestamp)


def described(count: int, window: object = beam.DoFn.WindowParam) -> Message:
    """A message with a window's start and count."""
    return Message.of({"window": int(window.start), "count": count})  # type: ignore[attr-defined]


def passing(p: beam.Pipeline, source: str, target: str) -> None:
    """Filters messages from the source to the target."""
    orders = p | ReadFromQueue(source)
    _ = orders | Filter(wanted).with_view(Message.json) | WriteToQueue(target) | CommitOffsets(orders)


def counting(p: beam.Pipeline, source: str, target: str) -> None:
    """Counts messages in windows of 10 s of their time."""
    orders = p | ReadFromQueue(source)
    windowed = orders | "Time" >> beam.Map(at_own_time) | "Windows" >> beam.WindowInto(FixedWindows(10))
    counts = windowed | "Count" >> beam.CombineGlobally(beam.combiners.CountCombineFn()).without_defaults()
    _ = counts | "Describe" >> beam.Map(described) | WriteToQueue(target)


def on_prism(endpoint: str) -> Callable[[], beam.Pipeline]:
    """A function that makes streaming pipelines."""
    flags = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", "--streaming"]
    return lambda: beam.Pipeline(options=PipelineOptions(flags))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    pipeline = on_prism(sys.argv[3])()
    passing(pipeline, *sys.argv[1:3])
    pipeline.run().wait_until_finish()
