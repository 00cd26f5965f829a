"""DeadLetter: a failed item with everything that is needed to understand the failure and to replay the item."""

import hashlib
import os
import re
import sysconfig
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
from apache_beam.coders import Coder

from .coders import RecordCoder
from .message import Message

__all__ = ["DeadLetter"]

_MAX_TEXT = 10_000
#: Prefixes of the files of `transforms/` and of Beam.
_NOT_USER_CODE = (str(Path(__file__).parent.parent), str(Path(beam.__file__).parent))
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_FRAME = re.compile(r'  File "(.+)", line (\d+), in (.+)')


@RecordCoder.register
class DeadLetter(NamedTuple):
    """One failed item, schema version 1.

    >>> letter = DeadLetter.of(Message(b"not json", key=b"k"), ValueError("not JSON"), step="Decode")
    >>> letter.payload, letter.step, letter.error_type, letter.error_message
    (b'not json', 'Decode', 'ValueError', 'not JSON')
    """

    payload: bytes | None
    """The original bytes: a message's value; any other element as encoded by its Beam coder."""
    key: bytes | None
    """The message's key."""
    attributes: tuple[tuple[str, bytes], ...]
    """The message's attributes. For any other element, `readable` holds its readable form."""
    source: str
    """Where the item was read: queue/partition/offset or subscription/message id; empty if the pipeline created it."""
    event_time: float | None
    """The message's own time, otherwise the element's timestamp in Beam; seconds since the epoch."""
    step: str
    """Label of the step that failed, as the user wrote it."""
    attempts: int
    """Number of attempts."""
    first_failed_at: float
    """When the first attempt failed, in seconds since the epoch."""
    last_failed_at: float
    """When the last attempt failed, in seconds since the epoch."""
    error_type: str
    """Class of the exception, such as ValueError or requests.exceptions.Timeout."""
    error_message: str
    """Text of the exception, at most 10,000 characters."""
    traceback: str
    """Frames of user code and of the code that it called, at most the last 10,000 characters."""
    fingerprint: str
    """Equal for failures of the same kind: a hash of the error's type and the top three frames of user code."""
    pipeline: str
    """Name of the job: `--job_name`, or the pipeline's own name for pipelines of this package."""
    version: int
    """Version of the schema."""

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
        """The record for an element and the exception that it caused."""
        message = element if isinstance(element, Message) else _as_message(element, coder)
        frames = traceback.extract_tb(error.__traceback__)
        user_frames = [frame for frame in frames if not frame.filename.startswith(_NOT_USER_CODE)]
        now, text = time.time(), _text_of(error)
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
            error_message=text[:_MAX_TEXT],
            traceback=_writable("".join(traceback.format_list(user_frames)))[-_MAX_TEXT:],
            fingerprint=_fingerprint(_name(type(error)), user_frames),
            pipeline=pipeline,
            version=1,
        )

    @staticmethod
    def of_beam(error: Any, step: str) -> "DeadLetter":
        """The record for an error record of Beam's own transforms: (element, (class, text, traceback lines))."""
        element, (error_class, text, lines) = error
        letter = DeadLetter.of(element, RuntimeError(text), step=step)
        trace, name = "".join(lines), _name(error_class)
        frames = [traceback.FrameSummary(file, int(line), place) for file, line, place in _FRAME.findall(trace)]
        return letter._replace(
            error_type=name,
            traceback=_writable(trace)[-_MAX_TEXT:],
            fingerprint=_fingerprint(name, [f for f in frames if not f.filename.startswith(_NOT_USER_CODE)]),
        )

    def as_message(self) -> Message:
        """The message that represents the letter: the payload as value, other fields as attributes.

        >>> letter = DeadLetter.of(Message(b"x", attributes=(("lang", b"en"),)), ValueError("no"), step="Decode")
        >>> letter.as_message().attribute("__connect.errors.exception.message")
        b'no'
        """
        fields = {**self._asdict(), **_place(self.source)}
        named = ((header, fields[field]) for field, header in _HEADERS.items() if field in fields)
        headers = tuple((header, b"" if value is None else str(value).encode()) for header, value in named)
        return Message(self.payload, self.key, self.attributes + headers, self.last_failed_at)

    @staticmethod
    def from_message(message: Message) -> "DeadLetter":
        """The letter that a message represents, with the attributes of the original message.

        >>> letter = DeadLetter.of(Message(b"x", attributes=(("lang", b"en"),)), ValueError("no"), step="Decode")
        >>> DeadLetter.from_message(letter.as_message()) == letter
        True
        """
        found = {name: value.decode("utf-8", "replace") for name, value in message.attributes}
        missing = [header for field, header in _HEADERS.items() if header not in found and field not in _OPTIONAL]
        if missing:
            raise ValueError(f"this message is not a dead letter: it has no attributes {', '.join(missing)}")
        typed: dict[str, Any] = {
            field: _TYPES.get(DeadLetter.__annotations__[field], str)(found.get(header, ""))
            for field, header in _HEADERS.items()
            if field in DeadLetter._fields
        }
        attributes = _without_headers(message.attributes, has_place=bool(_place(typed["source"])))
        return DeadLetter(payload=message.value, key=message.key, attributes=attributes, **typed)


#: Names of attributes: Kafka Connect's (KIP-298), which other tools know, or names with the prefix `beam_patterns.`.
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
_TYPES: dict[Any, Any] = {int: int, float: float, float | None: lambda text: float(text) if text else None}


def _as_message(element: Any, coder: Coder | None) -> Message:
    readable = _readable(element)
    if isinstance(element, bytes):
        return Message(element)
    if isinstance(element, str):
        return Message(element.encode("utf-8", "surrogatepass"))
    try:
        payload = coder.encode(element) if coder else readable
    except Exception:  # An element that can't be encoded still becomes a dead letter.
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


def _text_of(error: BaseException) -> str:
    try:
        return _writable(str(error))
    except Exception:  # An error whose text can't be made still becomes a dead letter.
        return ""


def _writable(text: str) -> str:
    """The text without lone surrogates, which an error message may contain as part of a file name."""
    return text.encode("utf-8", "backslashreplace").decode()


def _place(source: str) -> dict[str, str]:
    """Queue, partition and offset of a source; empty unless it has all three."""
    queue, *numbers = source.rsplit("/", 2)
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return {}
    return dict(zip(_PLACE, (queue, *numbers), strict=True))


def _without_headers(attributes: tuple[tuple[str, bytes], ...], has_place: bool) -> tuple[tuple[str, bytes], ...]:
    """The original message's attributes. Only the last of each name is removed: the original may be a letter too."""
    headers = {header for field, header in _HEADERS.items() if has_place or field not in _PLACE}
    kept = list[tuple[str, bytes]]()
    for name, value in reversed(attributes):
        if name in headers:
            headers.remove(name)
        else:
            kept.append((name, value))
    return tuple(reversed(kept))


def _fingerprint(error_type: str, frames: list[traceback.FrameSummary]) -> str:
    places = [f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}" for frame in _user_frames(frames)[-3:]]
    return hashlib.blake2b("\n".join([error_type, *places]).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _user_frames(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """The frames outside of libraries. If all code is installed, the frames in the folder of the first one."""
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    home = os.path.dirname(frames[0].filename) if frames else ""  # noqa: PTH120 (a prefix, empty for "<string>")
    return own or [frame for frame in frames if frame.filename.startswith(home)]
