"""Runs, some of which tests kill: python -m tests.transforms.queues.pubsub.pubsub_run FORM SOURCE TARGET [PRISM]."""

import logging
import sys
import time
from collections.abc import Callable, Iterable

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue

#: A child process works slowly, so that it can be killed at any step.
SLOW = __name__ == "__main__"


def worked(message: Message) -> Message:
    """The message itself, after some work."""
    if SLOW:
        time.sleep(0.005)
    return message


def by_remainder(message: Message) -> tuple[int, Message]:
    """The message with the remainder of its number modulo 7 as key."""
    return int(message.value or b"0") % 7, message


def members(group: tuple[int, Iterable[Message]]) -> Iterable[Message]:
    """The messages of a group."""
    return group[1]


class Straight(beam.PTransform):
    """The work, fused with the read."""

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        return messages | "Work" >> beam.Map(worked).with_output_types(Message)


class Grouped(beam.PTransform):
    """The work after a GroupByKey, in a stage that begins when everything has been read."""

    def __init__(self, work: Callable[[Message], Message] = worked) -> None:
        super().__init__()
        self._work = work

    def expand(self, messages: beam.PCollection) -> beam.PCollection:
        groups = messages | "Key" >> beam.Map(by_remainder).with_output_types(tuple[int, Message]) | beam.GroupByKey()
        parts = groups | "Take apart" >> beam.FlatMap(members).with_output_types(Message)
        return parts | "Work" >> beam.Map(self._work).with_output_types(Message)


def run(p: beam.Pipeline, flow: beam.PTransform, source: str, target: str) -> None:
    """Reads, works, writes, then commits."""
    with p:
        messages = p | ReadFromQueue(source)
        _ = messages | flow | WriteToQueue(target) | CommitOffsets(messages)


if SLOW:
    logging.disable(logging.WARNING)
    form, source, target, *prism = sys.argv[1:]
    flow = Grouped() if form == "grouped" else Straight()
    where = ["--runner=PortableRunner", f"--job_endpoint={prism[0]}", "--environment_type=LOOPBACK"] if prism else []
    options = PipelineOptions([*where, "--streaming"] if prism else ["--runner=FnApiRunner"])
    run(beam.Pipeline(options=options), flow, source, target)
