"""DeadLetters: the dead-letter channel."""

from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp

from .base.dead_letter import DeadLetter

__all__ = ["DeadLetters"]


class DeadLetters(beam.PTransform):
    """Converts error records to DeadLetters, which can be written to a queue.

    ```
    Filter ---dead---+
    WorkQueue -dead--+--> DeadLetters --> WriteToQueue
    beam.Map --bad---+
    ```

    >>> import apache_beam as beam
    >>> from apache_beam.transforms.error_handling import ErrorHandler
    >>> from beam_patterns.transforms import DeadLetters, Filter
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     with ErrorHandler(DeadLetters() | beam.Map(lambda d: print(d.error_type, d.attributes))) as dead:
    ...         kept = p | beam.Create([1, 0]) | Filter(lambda n: 1 / n).with_error_handler(dead)
    ZeroDivisionError (('readable', b'0'),)

    In: the error records that this package's patterns and Beam's own transforms send to an error handler.
    Out: PCollection[DeadLetter].
    Streaming: element by element; windows and timestamps pass unchanged.
    Failure: none. An element that can't be encoded is stored in its readable form.
    Source: the dead letter channel of Hohpe and Woolf, Enterprise Integration Patterns, chapter 4.
    """

    def expand(self, errors: beam.PCollection) -> beam.PCollection:
        """One DeadLetter per error record."""
        job = errors.pipeline.options.view_as(GoogleCloudOptions).job_name or ""
        return errors | "Record" >> beam.Map(_complete, label=self.label, job=job).with_output_types(DeadLetter)


def _complete(error: Any, timestamp: Any = beam.DoFn.TimestampParam, label: str = "", job: str = "") -> DeadLetter:
    """The letter with what the failed step did not know: the element's timestamp and the job."""
    letter = error if isinstance(error, DeadLetter) else DeadLetter.of_beam(error, label)
    event_time = _seconds(timestamp) if letter.event_time is None else letter.event_time
    return letter._replace(event_time=event_time, pipeline=letter.pipeline or job)


def _seconds(timestamp: Any) -> float | None:
    """An element's timestamp in seconds; None for Beam's minimum and maximum, which mean that there is none."""
    if timestamp in (MIN_TIMESTAMP, MAX_TIMESTAMP):
        return None
    return Timestamp.of(timestamp).micros / 1e6
