"""WriteToQueue: the messages it writes, what it refuses, and its output."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import apache_beam as beam
import orjson
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.transforms import DeadLetter, DeadLetters, ElementError
from beam_patterns.transforms.queues import MESSAGE_ID, Message, QueueUri, Rejected, Writer, WriteToQueue, open_queue
from beam_patterns.transforms.queues.memory import MemoryQueue
from tests.running import Lists, Tables

LETTER = DeadLetter.of(Message(b"payload", key=b"k"), ValueError("no"), step="Check")


class User(NamedTuple):
    """A row."""

    name: str
    age: int


@pytest.fixture
def uri() -> str:
    """A new queue."""
    return f"memory://{uuid4().hex}"


def items(uri: str) -> list[Message]:
    queue = open_queue(uri)
    return [m._replace(source=None) for split in queue.splits() for batch in queue.read(split) for m in batch]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (b"\xff", b"\xff"),
        ("grün", "grün".encode()),
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        (User("ann", 41), b'{"name":"ann","age":41}'),
        (3, b"3"),
        (Message(b"x"), b"x"),
        (LETTER, b"payload"),
    ],
    ids=["bytes", "text", "dict", "row", "number", "message", "dead letter"],
)
def test_an_element_becomes_a_message(uri: str, element: Any, value: bytes) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([element]) | WriteToQueue(uri)
    assert [m.value for m in items(uri)] == [value]


USERS = [User(f"u{number}", number) for number in range(20)]
SCHEMA = pa.schema([("name", pa.string()), ("age", pa.int64())])


@pytest.mark.parametrize("target", ["memory", "lines"])
@pytest.mark.parametrize(
    "source", [lambda: Lists(USERS, User), lambda: Tables(USERS, User, SCHEMA)], ids=["lists", "tables"]
)
def test_batches_are_written_like_elements(uri: str, tmp_path: Path, source: Any, target: str) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | source() | WriteToQueue(uri if target == "memory" else f"{tmp_path}/out.jsonl")
    written = items(uri) if target == "memory" else items(f"{tmp_path}/out.jsonl")
    assert [m.json() for m in written] == [user._asdict() for user in USERS]


def test_keys_attributes_and_times_are_unchanged_and_an_id_is_added(pipeline, uri: str) -> None:
    message = Message(b"v", b"\xfe", (("a", b"1"), ("a", b"\xff")), 12.5, ("orders", 3, 7))
    with pipeline() as p:
        _ = p | beam.Create([message]) | WriteToQueue(uri)
    ((value, key, attributes, timestamp, _),) = items(uri)
    assert (value, key, timestamp) == (b"v", b"\xfe", 12.5)
    assert attributes == (("a", b"1"), ("a", b"\xff"), (MESSAGE_ID, b"orders/3/7-0544e0b4"))


def test_a_message_written_twice_has_one_id(uri: str) -> None:
    message = Message(b"v", source=("orders", 3, 7))
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create([message]) | WriteToQueue(uri)
    assert len(items(uri)) == 2
    assert len({m.attribute(MESSAGE_ID) for m in items(uri)}) == 1


def test_a_dead_letter_written_to_a_queue_can_be_read_back(uri: str) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([LETTER]) | WriteToQueue(uri)
    assert [DeadLetter.from_message(m) for m in items(uri)] == [LETTER]


def test_the_output_counts_what_was_written(pipeline, uri: str) -> None:
    with pipeline() as p:
        written = p | beam.Create([b"%d" % n for n in range(10)], reshuffle=False) | WriteToQueue(uri)
        total = written | beam.Map(lambda w: (w.queue, w.messages)) | beam.CombinePerKey(sum)
        assert_that(total, equal_to([(uri, 10)]))


def test_an_element_that_cannot_be_written_fails_the_run_and_is_shown(uri: str) -> None:
    with pytest.raises(ElementError) as failed, beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([{"a": {1, 2}}]) | "Store" >> WriteToQueue(uri)
    assert (
        f"Store: {uri} can't store {{'a': {{1, 2}}}}: Type is not JSON serializable: set. "
        "Add .with_error_handler(...) to send such elements to a dead-letter queue."
    ) in str(failed.value)
    assert items(uri) == []


def test_an_element_that_cannot_be_written_becomes_a_dead_letter_and_the_others_are_written(pipeline, uri: str) -> None:
    with pipeline() as p, ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(f"{uri}-dead")) as dead:
        elements = p | beam.Create([{"a": 1}, {"a": {2}}, {"a": 3}])
        _ = elements | "Store" >> WriteToQueue(uri).with_error_handler(dead)
    assert sorted(m.value for m in items(uri)) == [b'{"a":1}', b'{"a":3}']
    (letter,) = map(DeadLetter.from_message, items(f"{uri}-dead"))
    assert (letter.step, letter.error_message) == ("Store", "Type is not JSON serializable: set")
    assert dict(letter.attributes)["readable"] == b"{'a': {2}}"


@pytest.mark.parametrize(
    "defect",
    [{"value": "text"}, {"attributes": {"lang": b"en"}}, {"key": "ann", "source": None}],
    ids=["str value", "dict of attributes", "str key"],
)
def test_a_message_of_wrong_types_becomes_a_dead_letter_and_its_batch_is_written(uri: str, defect: Any) -> None:
    good = [Message(b"%d" % n, source=("orders", 0, n)) for n in range(5)]
    read = [*good[:3], good[3]._replace(**defect), good[4]]
    with beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler(DeadLetters() | "Type" >> beam.Map(lambda letter: letter.step)) as dead:
            _ = p | Lists(read, Message) | "Out" >> WriteToQueue(uri).with_error_handler(dead)
        assert_that(dead.output(), equal_to(["Out"]))
    assert items(uri) == [good[n].with_id()._replace(source=None) for n in (0, 1, 2, 4)]


def test_a_message_that_a_file_format_cannot_hold_becomes_a_dead_letter(tmp_path, uri: str) -> None:
    with beam.Pipeline("FnApiRunner") as p, ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(uri)) as dead:
        elements = p | beam.Create([Message(b"a"), Message(b"b\nc", key=b"k"), Message(None)])
        _ = elements | "Store" >> WriteToQueue(f"{tmp_path}/out.jsonl").with_error_handler(dead)
    assert (tmp_path / "out.jsonl").read_bytes() == b"a\n"
    letters = sorted(map(DeadLetter.from_message, items(uri)), key=lambda letter: letter.error_message)
    assert [(letter.payload, letter.key, letter.error_message) for letter in letters] == [
        (None, None, "an empty value would be an empty line, which readers skip; write to a .parquet file"),
        (b"b\nc", b"k", "the value has a line break and is not JSON; write to a .parquet file"),
    ]


class PickyQueue(MemoryQueue):
    """Rejects messages longer than three bytes when it is flushed, as a broker does."""

    def writer(self) -> Writer:
        return _PickyWriter(super().writer())


class _PickyWriter(Writer):
    def __init__(self, inner: Writer) -> None:
        self._inner, self._rejected = inner, list[Rejected]()

    def write(self, messages: Sequence[Message]) -> None:
        self._inner.write([m for m in messages if len(m.value) <= 3])
        self._rejected += [Rejected(m, ValueError("too long")) for m in messages if len(m.value) > 3]

    def flush(self) -> list[Rejected]:
        self._inner.flush()
        rejected, self._rejected = self._rejected, []
        return rejected


def write_to_picky_queue(uri: str) -> WriteToQueue:
    """WriteToQueue for a PickyQueue."""
    write = WriteToQueue(uri)
    write._queue = PickyQueue(QueueUri.parse(uri))
    return write


def test_a_message_that_the_queue_rejects_becomes_a_dead_letter_and_the_others_are_written(pipeline, uri: str) -> None:
    with pipeline() as p, ErrorHandler(DeadLetters() | "Park" >> WriteToQueue(f"{uri}-dead")) as dead:
        _ = p | beam.Create([b"a", b"long", b"b"]) | "Store" >> write_to_picky_queue(uri).with_error_handler(dead)
    assert sorted(m.value for m in items(uri)) == [b"a", b"b"]
    (letter,) = map(DeadLetter.from_message, items(f"{uri}-dead"))
    assert (letter.payload, letter.step, letter.error_message) == (b"long", "Store", "too long")


def test_a_message_that_the_queue_rejects_fails_the_run_without_a_handler(uri: str) -> None:
    sentence = r"can't store Message\(value=b'long'.*: too long\. Add \.with_error_handler"
    with pytest.raises(ElementError, match=sentence), beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([b"a", b"long", b"b"]) | "Store" >> write_to_picky_queue(uri)


def test_elements_that_the_upstream_step_emits_in_finish_bundle_are_written(pipeline: Any, tmp_path: Path) -> None:
    """Beam 2.77 loses them if the SDK collects single elements into batches."""
    for place in (f"sqlite://{tmp_path}/q.db?topic=t", str(tmp_path / "out.jsonl")):
        with pipeline() as p:
            _ = p | beam.Create([1, 2, 3]) | beam.BatchElements(100, 100) | WriteToQueue(place)
        queue = open_queue(f"{place}&group=g" if "?" in place else place)
        values = [m.value for split in queue.splits() for batch in queue.read(split) for m in batch]
        assert sorted(n for value in values for n in orjson.loads(value)) == [1, 2, 3]
