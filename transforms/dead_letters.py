"""Dead letters: what a pattern could not process, with everything needed to understand it and to send it back."""

import hashlib
import os
import re
import sysconfig
import time
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
from apache_beam.coders import Coder
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp

from .core.coders import RecordCoder
from .core.message import Message

__all__ = ["DeadLetter", "DeadLetters"]

_MAX_TEXT = 10_000
_NOT_USER_CODE = (os.path.dirname(__file__), os.path.dirname(beam.__file__))  # noqa: PTH120 (both are str prefixes)
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_FRAME = re.compile(r'  File "(.+)", line (\d+), in (.+)')


@RecordCoder.register
class DeadLetter(NamedTuple):
    """One failed item, schema version 1.

    >>> letter = DeadLetter.of(Message(b"not json", key=b"k"), ValueError("no JSON"), step="Decode")
    >>> letter.payload, letter.step, letter.error_type, letter.error_message
    (b'not json', 'Decode', 'ValueError', 'no JSON')
    """

    payload: bytes | None
    """The original bytes: a message's value; any other element as its Beam coder writes it."""
    key: bytes | None
    """The message's key."""
    attributes: tuple[tuple[str, bytes], ...]
    """The message's attributes; an element that is no message has its readable form here, as `readable`."""
    source: str
    """Where it was read: queue/partition/offset or subscription/message id; empty if it was made in the pipeline."""
    event_time: float | None
    """The message's own time, else the element's timestamp in Beam; seconds since the epoch."""
    step: str
    """The label of the step that failed."""
    attempts: int
    """How often the work was tried."""
    first_failed_at: float
    """Seconds since the epoch."""
    last_failed_at: float
    """Seconds since the epoch."""
    error_type: str
    """The exception's class, such as ValueError or requests.exceptions.Timeout."""
    error_message: str
    """What it said, at most 10,000 characters."""
    traceback: str
    """The frames of user code and what they called, at most 10,000 characters."""
    fingerprint: str
    """Equal for failures of the same kind: a hash of the error's type and the top three frames of user code."""
    pipeline: str
    """The job's name, which `--job_name` gives; a pipeline of this package has its own for it."""
    version: int
    """Of this schema."""

    @staticmethod
    def of(
        element: Any,
        error: BaseException,
        *,
        step: str,
        coder: Coder | None = None,
        attempts: int = 1,
        pipeline: str = "",
    ) -> "DeadLetter":
        """The record for an element and the exception it raised."""
        message = element if isinstance(element, Message) else _as_message(element, coder)
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if not f.filename.startswith(_NOT_USER_CODE)]
        now, said = time.time(), _said(error)
        return DeadLetter(
            payload=message.value,
            key=message.key,
            attributes=message.attributes,
            source="/".join(map(str, message.source or ())),
            event_time=message.timestamp,
            step=step,
            attempts=attempts,
            first_failed_at=now,
            last_failed_at=now,
            error_type=_name(type(error)),
            error_message=said[:_MAX_TEXT],
            traceback=_text("".join(traceback.format_list(theirs)))[-_MAX_TEXT:],
            fingerprint=_fingerprint(_name(type(error)), theirs),
            pipeline=pipeline,
            version=1,
        )

    def as_message(self) -> Message:
        """For a queue: the payload as value, everything else as attributes, named as Kafka Connect names them.

        >>> letter = DeadLetter.of(Message(b"x", attributes=(("lang", b"en"),)), ValueError("no"), step="Decode")
        >>> letter.as_message().attribute("__connect.errors.exception.message")
        b'no'
        """
        fields = {**self._asdict(), **_place(self.source)}
        said = ((header, fields[field]) for field, header in _HEADERS.items() if field in fields)
        headers = tuple((header, b"" if value is None else str(value).encode()) for header, value in said)
        return Message(self.payload, self.key, self.attributes + headers, self.last_failed_at)

    @staticmethod
    def from_message(message: Message) -> "DeadLetter":
        """The record back from a queue; the original message's attributes are again its own.

        >>> letter = DeadLetter.of(Message(b"x", attributes=(("lang", b"en"),)), ValueError("no"), step="Decode")
        >>> DeadLetter.from_message(letter.as_message()) == letter
        True
        """
        said = {name: value.decode("utf-8", "replace") for name, value in message.attributes}
        missing = [header for field, header in _HEADERS.items() if header not in said and field not in _OPTIONAL]
        if missing:
            raise ValueError(f"this message is no dead letter: it lacks the attributes {', '.join(missing)}")
        typed: dict[str, Any] = {
            field: _TYPES.get(DeadLetter.__annotations__[field], str)(said.get(header, ""))
            for field, header in _HEADERS.items()
            if field in DeadLetter._fields
        }
        attributes = _theirs(message.attributes, has_place=bool(_place(typed["source"])))
        return DeadLetter(payload=message.value, key=message.key, attributes=attributes, **typed)


#: Names that other tools know where Kafka Connect has one (KIP-298), our own prefix elsewhere.
_HEADERS = {
    "queue": "__connect.errors.topic",
    "partition": "__connect.errors.partition",
    "offset": "__connect.errors.offset",
    "source": "beam_patterns.source",
    "event_time": "beam_patterns.event_time",
    "step": "__connect.errors.stage",
    "attempts": "beam_patterns.attempts",
    "first_failed_at": "beam_patterns.first_failed_at",
    "last_failed_at": "beam_patterns.last_failed_at",
    "error_type": "__connect.errors.exception.class.name",
    "error_message": "__connect.errors.exception.message",
    "traceback": "__connect.errors.exception.stacktrace",
    "fingerprint": "beam_patterns.fingerprint",
    "pipeline": "__connect.errors.connector.name",
    "version": "beam_patterns.version",
}
_PLACE = ("queue", "partition", "offset")
_OPTIONAL = (*_PLACE, "event_time")
_TYPES: dict[Any, Any] = {int: int, float: float, float | None: lambda said: float(said) if said else None}


class DeadLetters(beam.PTransform):
    """Turns error records into DeadLetters, ready to be written to a queue.

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

    In: what this package's patterns and Beam's own transforms report to an error handler.
    Out: PCollection[DeadLetter].
    Streaming: element by element, windows and timestamps as they are.
    Failure: none; what can't be encoded is kept in its readable form.
    Source: the dead letter channel of Hohpe and Woolf, Enterprise Integration Patterns, chapter 4.
    """

    def expand(self, errors: beam.PCollection) -> beam.PCollection:
        """One DeadLetter per error record."""
        job = errors.pipeline.options.view_as(GoogleCloudOptions).job_name or ""
        return errors | "Record" >> beam.Map(_complete, label=self.label, job=job).with_output_types(DeadLetter)


def _complete(error: Any, timestamp: Any = beam.DoFn.TimestampParam, label: str = "", job: str = "") -> DeadLetter:
    """With what the step that failed did not know."""
    letter = error if isinstance(error, DeadLetter) else _of_beam(error, label)
    event_time = _seconds(timestamp) if letter.event_time is None else letter.event_time
    return letter._replace(event_time=event_time, pipeline=letter.pipeline or job)


def _of_beam(error: Any, label: str) -> DeadLetter:
    # Beam's own record: (element, (class, repr of the error, lines of the traceback)).
    element, (error_class, said, lines) = error
    letter = DeadLetter.of(element, RuntimeError(said), step=label)
    text, name = "".join(lines), _name(error_class)
    frames = [traceback.FrameSummary(file, int(line), place) for file, line, place in _FRAME.findall(text)]
    return letter._replace(
        error_type=name,
        traceback=_text(text)[-_MAX_TEXT:],
        fingerprint=_fingerprint(name, [f for f in frames if not f.filename.startswith(_NOT_USER_CODE)]),
    )


def _seconds(timestamp: Any) -> float | None:
    """An element's timestamp; those at either end of time stand for none."""
    if timestamp in (MIN_TIMESTAMP, MAX_TIMESTAMP):
        return None
    return Timestamp.of(timestamp).micros / 1e6


def _as_message(element: Any, coder: Coder | None) -> Message:
    readable = _readable(element)
    if isinstance(element, bytes):
        return Message(element)
    if isinstance(element, str):
        return Message(element.encode("utf-8", "surrogatepass"))
    try:
        payload = coder.encode(element) if coder else readable
    except Exception:  # An element that can't be encoded must still reach the dead letters.
        payload = readable
    return Message(payload, attributes=(("readable", readable),))


def _readable(element: Any) -> bytes:
    try:
        return orjson.dumps(element._asdict() if hasattr(element, "_asdict") else element)[:_MAX_TEXT]
    except TypeError:
        return repr(element).encode("utf-8", "replace")[:_MAX_TEXT]


def _name(error_class: type) -> str:
    if error_class.__module__ in ("builtins", "__main__"):
        return error_class.__qualname__
    return f"{error_class.__module__}.{error_class.__qualname__}"


def _said(error: BaseException) -> str:
    try:
        return _text(str(error))
    except Exception:  # An error that can't be told must still reach the dead letters.
        return ""


def _text(said: str) -> str:
    """Text that can be written: a file's name in an error's message may be none."""
    return said.encode("utf-8", "backslashreplace").decode()


def _place(source: str) -> dict[str, str]:
    """Queue, partition and offset of a source that has all three."""
    queue, *numbers = source.rsplit("/", 2)
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return {}
    return dict(zip(_PLACE, (queue, *numbers), strict=True))


def _theirs(attributes: tuple[tuple[str, bytes], ...], has_place: bool) -> tuple[tuple[str, bytes], ...]:
    """Without ours, which are the last of their names: the original may come from another's dead-letter queue."""
    ours = {header for field, header in _HEADERS.items() if has_place or field not in _PLACE}
    theirs = list[tuple[str, bytes]]()
    for name, value in reversed(attributes):
        if name in ours:
            ours.remove(name)
        else:
            theirs.append((name, value))
    return tuple(reversed(theirs))


def _fingerprint(error_type: str, frames: list[traceback.FrameSummary]) -> str:
    return _hash(error_type, *_places(_user_frames(frames)[-3:]))


def _user_frames(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Those outside of libraries; of code that is installed itself, those of what the pattern called."""
    theirs = [f for f in frames if not f.filename.startswith(_LIBRARIES)]
    home = os.path.dirname(frames[0].filename) if frames else ""  # noqa: PTH120 (a prefix)
    return theirs or [f for f in frames if f.filename.startswith(home)]


def _places(frames: list[traceback.FrameSummary]) -> Iterator[str]:
    for frame in frames:
        yield f"{os.path.basename(frame.filename)}:{frame.name}:{frame.lineno}"  # noqa: PTH119 (a name, no path)


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()
