"""sqlite://: durable topics, groups, several processes, kill -9, and error messages."""

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import HealthCheck, given, settings

from beam_patterns.transforms.queues import (
    MESSAGE_ID,
    CommitOffsets,
    Message,
    Position,
    QueueError,
    ReadFromQueue,
    WriteToQueue,
    open_queue,
)
from beam_patterns.transforms.queues.sqlite import database as sqlite_database
from tests import ROOT, SOAK
from tests.transforms.base.test_message import messages
from tests.transforms.queues.other_user import error_of, locked_folder


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queues.db"


def uri(database: Path, topic: str = "t", group: str = "g") -> str:
    return f"sqlite://{database}?topic={topic}&group={group}"


def put(database: Path, *messages: Message, topic: str = "t") -> None:
    writer = open_queue(f"sqlite://{database}?topic={topic}").writer()
    writer.write(messages)
    assert writer.flush() == []
    writer.close()


def everything(database: Path, topic: str = "t", group: str = "g") -> list[Message]:
    queue = open_queue(uri(database, topic, group))
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def child(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.transforms.queues.sqlite.sqlite_run", *map(str, arguments)], cwd=ROOT
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20 * SOAK, deadline=None)
@given(messages)
def test_any_message_is_read_as_it_was_written(tmp_path, message):
    database = tmp_path / "any.db"
    put(database, message)
    last = everything(database)[-1]
    assert last._replace(source=None) == message._replace(source=None)


def test_offsets_count_from_zero_and_continue_across_writers(database):
    put(database, Message(b"a"), Message(b"b"))
    put(database, Message(b"c"))
    assert [(m.value, m.source) for m in everything(database)] == [
        (b"a", ("t", 0, 0)),
        (b"b", ("t", 0, 1)),
        (b"c", ("t", 0, 2)),
    ]


def test_every_group_reads_from_its_own_position(database):
    put(database, *(Message(b"%d" % n) for n in range(5)))
    open_queue(uri(database, group="a")).commit([Position("t", 3)])
    assert [m.value for m in everything(database, group="a")] == [b"3", b"4"]
    assert [m.value for m in everything(database, group="b")] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_position_never_moves_backward(database):
    put(database, *(Message(b"%d" % n) for n in range(5)))
    queue = open_queue(uri(database))
    queue.commit([Position("t", 4)])
    queue.commit([Position("t", 2)])
    assert [m.value for m in everything(database)] == [b"4"]


def test_topics_do_not_mix_even_if_they_differ_in_case_only(database):
    put(database, Message(b"lower"), topic="orders")
    put(database, Message(b"upper"), topic="Orders")
    assert [m.value for m in everything(database, "orders")] == [b"lower"]
    assert [m.value for m in everything(database, "Orders")] == [b"upper"]


def test_a_flush_without_messages_creates_an_empty_topic(database):
    put(database)
    assert everything(database) == []


@pytest.mark.integration
def test_a_long_topic_is_read_in_parts_and_batches(database):
    put(database, *(Message(b"%d" % n) for n in range(120_000)))
    queue = open_queue(uri(database))
    splits = queue.splits()
    assert [(split.start, split.stop) for split in splits] == [(0, 50_000), (50_000, 100_000), (100_000, 120_000)]
    batches = list(queue.read(splits[1]))
    assert max(map(len, batches)) == 4096
    assert [m.source[2] for batch in batches for m in batch] == list(range(50_000, 100_000))


def test_large_messages_come_in_small_batches(database):
    put(database, *(Message(bytes(6 * 2**20)) for _ in range(5)))
    queue = open_queue(uri(database))
    assert [len(batch) for batch in queue.read(queue.splits()[0])] == [3, 2]


def test_a_reader_does_not_wait_for_a_writer(database):
    put(database, Message(b"a"))
    db = sqlite_database.connect(database)
    with sqlite_database.writing(database, db):
        assert [m.value for m in everything(database)] == [b"a"]
    db.close()


def test_a_message_with_an_attribute_name_that_is_not_utf_8_is_rejected_alone(database):
    writer = open_queue(uri(database)).writer()
    bad = Message(b"bad", attributes=(("\ud800", b""),))
    writer.write([Message(b"a"), bad, Message(b"b")])
    ((rejected, error),) = writer.flush()
    assert (rejected, str(error)) == (bad, "str is not valid UTF-8: surrogates not allowed")
    assert [m.value for m in everything(database)] == [b"a", b"b"]


def test_a_message_above_sqlites_limit_is_rejected_alone(database):
    writer = open_queue(uri(database)).writer()
    assert writer._limit == 999_999_000
    writer._limit = 10
    writer.write([Message(b"a"), Message(b"x" * 9, key=b"kk"), Message(b"b")])
    ((rejected, error),) = writer.flush()
    assert (rejected.key, str(error)) == (b"kk", "its 11 bytes are more than SQLite's limit of 10")
    assert [m.value for m in everything(database)] == [b"a", b"b"]


@pytest.mark.integration
def test_a_pipeline_reads_commits_and_finds_nothing_new_the_second_time(pipeline, database):
    put(database, Message(b"1"), Message(b"2"))
    for expected in ([b"1", b"2"], []):
        with pipeline() as p:
            read = p | ReadFromQueue(uri(database))
            assert_that(read | beam.Map(lambda m: m.value), equal_to(expected))
            _ = read | WriteToQueue(f"sqlite://{database}?topic=copy") | CommitOffsets(read)
    assert [m.value for m in everything(database, "copy")] == [b"1", b"2"]


def test_a_windowed_stream_is_written_and_committed(pipeline, database):
    put(database, Message(b"1", timestamp=10.0), Message(b"2", timestamp=1000.0))
    with pipeline() as p:
        read = p | ReadFromQueue(uri(database))
        timed = read | beam.Map(lambda m: beam.window.TimestampedValue(m, m.timestamp)).with_output_types(Message)
        windowed = timed | beam.WindowInto(beam.window.FixedWindows(60))
        _ = windowed | WriteToQueue(f"sqlite://{database}?topic=copy") | CommitOffsets(read)
    assert sorted(m.value for m in everything(database, "copy")) == [b"1", b"2"]
    assert everything(database) == []


# --- several processes


@pytest.mark.integration
def test_concurrent_writers_lose_and_reorder_nothing(database):
    writers = [child("write", database, f"w{n}", 40) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    values = [m.value for m in everything(database, "shared")]
    assert sorted(values) == sorted(b"w%d/%d/%d" % (n, b, i) for n in range(4) for b in range(40) for i in range(100))
    for n in range(4):
        assert [v for v in values if v.startswith(b"w%d/" % n)] == [
            b"w%d/%d/%d" % (n, b, i) for b in range(40) for i in range(100)
        ]


@pytest.mark.integration
def test_runs_killed_at_five_moments_and_a_last_one_leave_every_result(database):
    total = 60_000
    put(database, *(Message(b"%d" % n) for n in range(total)), topic="numbers")
    for moment in (1, 15_000, 45_000, total, "written"):
        assert child("run", database, moment).wait() == -signal.SIGKILL
        assert len(everything(database, "numbers")) == total
    assert child("run", database, "never").wait() == 0
    assert everything(database, "numbers") == []
    wanted = [n for n in range(total) if n % 10]
    seen = Counter[bytes]()
    for topic, rest in (("evens", 0), ("odds", 1)):
        results = {m.attribute(MESSAGE_ID): m.value for m in everything(database, topic)}
        assert sorted(map(int, results.values())) == [n for n in wanted if n % 2 == rest]
        seen.update(m.value for m in everything(database, topic))
    assert max(seen.values()) > 1, "no run was killed after it had written"


@pytest.mark.integration
def test_a_process_killed_in_a_transaction_leaves_nothing_of_it(database):
    put(database, Message(b"a"))
    assert child("die_in_a_transaction", database).wait() == -signal.SIGKILL
    put(database, Message(b"b"))
    assert [m.value for m in everything(database)] == [b"a", b"b"]


# --- error messages


def refused(action) -> str:
    with pytest.raises(QueueError) as error:
        action()
    return str(error.value)


def test_a_missing_database_is_named(database):
    assert refused(lambda: everything(database)) == (
        f"the queue database {database} does not exist; check the path, or write to the queue first"
    )


def test_the_error_for_a_missing_topic_lists_the_topics(database):
    put(database, Message(b""), topic="orders")
    put(database, Message(b""), topic="returns")
    assert refused(lambda: everything(database, "ordrs")) == (
        f"the database {database} has no topic 'ordrs'; it has orders, returns; "
        "a topic is created when it is first written"
    )


def test_reading_needs_a_group(database):
    put(database, Message(b""))
    assert refused(open_queue(f"sqlite://{database}?topic=t").splits) == (
        f"the queue sqlite://{database}?topic=t is read without a group; "
        "add &group=NAME, under which positions are kept"
    )


def test_a_file_that_is_not_a_database_is_not_changed(database):
    database.write_bytes(b"a letter to my mother " * 100)
    for action in (lambda: everything(database), lambda: put(database, Message(b""))):
        assert refused(action) == (
            f"the file {database} is not an SQLite database; name another path, where the database will be created"
        )
    assert database.read_bytes() == b"a letter to my mother " * 100


def test_an_empty_file_is_an_empty_database(database):
    database.touch()
    assert refused(lambda: everything(database)) == f"the database {database} is empty; write to the queue first"
    put(database, Message(b"a"))
    assert [m.value for m in everything(database)] == [b"a"]


def test_another_programs_database_is_not_changed(database):
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE photos (name)")
    before = database.read_bytes()
    sentence = f"the database {database} belongs to another program; name a separate file for the queues"
    for action in (lambda: everything(database), lambda: put(database, Message(b""))):
        assert refused(action) == sentence
    assert database.read_bytes() == before


def test_a_newer_schema_is_refused(database):
    put(database, Message(b"a"))
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA user_version = 2")
    assert refused(lambda: everything(database)) == (
        f"the database {database} has queue schema 2, and this version knows 1; update beam-patterns"
    )


def test_a_database_that_stays_locked_is_named(database, monkeypatch):
    put(database, Message(b"a"))
    monkeypatch.setattr(sqlite_database, "_LOCK_TIMEOUT", 0.2)
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    assert refused(lambda: put(database, Message(b"b"))) == (
        f"another program has locked the database {database} for 0.2 s; end that program first"
    )
    db.close()


def test_a_folder_is_not_a_database(tmp_path):
    assert refused(lambda: put(tmp_path, Message(b""))) == (
        f"the database {tmp_path} is a folder, not a file; allow this user to write to it and its folder, "
        "or name another path"
    )


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "data").write_bytes(b"")
    database = tmp_path / "data" / "queues.db"
    assert refused(lambda: put(database, Message(b""))) == (
        f"the folder of the database {database} can't be created: File exists; name another path"
    )


@pytest.mark.integration
def test_a_folder_without_write_permission_is_named():
    with locked_folder() as folder:
        assert error_of(f"open_queue('sqlite://{folder}/queues.db?topic=t').writer()") == (
            f"the database {folder}/queues.db can't be opened for writing; "
            "allow this user to write to it and its folder, or name another path"
        )
