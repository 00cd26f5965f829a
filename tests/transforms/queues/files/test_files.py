"""File queues: formats, publication, kill -9, and error messages."""

import base64
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.coders import registry
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_patterns.transforms import DeadLetter, DeadLetters
from beam_patterns.transforms.queues import (
    Message,
    QueueError,
    QueueUri,
    ReadFromQueue,
    UnreadableError,
    WriteToQueue,
    open_queue,
)
from beam_patterns.transforms.queues.files import lines as file_lines
from beam_patterns.transforms.queues.files.queue import FileQueue
from beam_patterns.transforms.queues.files.target import truncate
from tests import ROOT, SOAK
from tests.transforms.base.test_message import messages
from tests.transforms.queues.other_user import error_of, locked_folder

SUFFIXES = [".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet"]
LETTER = DeadLetter.of(
    Message(b'{"user": "ann"}', b"\xff", (("lang", b"en"), ("raw", b"\xfe"))), ValueError("no\nway"), step="Check"
)
BYTES_LETTER = LETTER._replace(payload=b"\xff\n", key=None, event_time=12.5)

any_property = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20 * SOAK, deadline=None
)


def put(path: Path, *messages: Message) -> list[tuple[Message, str]]:
    """Writes messages and returns those that were rejected."""
    writer = open_queue(str(path)).writer()
    writer.write(messages)
    rejected = writer.flush()
    writer.close()
    return [(message, str(error)) for message, error in rejected]


def items(path: Path | str) -> list[Message | UnreadableError]:
    queue = open_queue(str(path))
    found = list[Message | UnreadableError]()
    for split in queue.splits():
        for batch in queue.read(split):
            found += [batch] if isinstance(batch, UnreadableError) else batch
    return found


def values(path: Path | str) -> list[bytes]:
    return [message.value for message in items(path)]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def refused(action) -> str:
    with pytest.raises(QueueError) as error:
        action()
    return str(error.value)


# --- paths


def test_a_relative_path_is_relative_to_the_folder_where_the_run_starts(tmp_path, monkeypatch):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    queue = open_queue("./in/a.jsonl")
    monkeypatch.chdir(there)
    writer = queue.writer()
    writer.write([Message(b"1")])
    assert writer.flush() == []
    assert (tmp_path / "in" / "a.jsonl").read_bytes() == b"1\n"
    assert [split.partition for split in queue.splits()] == [f"{tmp_path}/in/a.jsonl"]


def test_a_relative_path_in_a_folder_whose_name_has_wildcards_is_not_a_pattern(tmp_path, monkeypatch):
    (tmp_path / "[a]").mkdir()
    monkeypatch.chdir(tmp_path / "[a]")
    assert put(Path("a.jsonl"), Message(b"1")) == []
    assert (tmp_path / "[a]" / "a.jsonl").read_bytes() == b"1\n"


# --- lines


@any_property
@given(st.lists(st.binary(min_size=1).filter(lambda value: b"\n" not in value and value != b"\r")))
def test_any_bytes_without_a_line_break_can_be_stored_in_lines(tmp_path, written):
    path = tmp_path / "any.jsonl"
    path.unlink(missing_ok=True)
    put(path, *map(Message, written))
    assert (values(path) if written else []) == written


def test_a_line_is_a_message_whose_source_has_its_offset(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n": 1}\n\n\r\n{"n": 2}\nlast')
    assert items(path) == [
        Message(b'{"n": 1}', source=(str(path), 0, 0)),
        Message(b'{"n": 2}', source=(str(path), 0, 12)),
        Message(b"last", source=(str(path), 0, 21)),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_long_file_is_read_in_ranges_and_each_line_once(tmp_path, monkeypatch, size):
    monkeypatch.setattr(file_lines, "_RANGE", size)
    path = tmp_path / "in.txt"
    written = [b"%d" % n**5 for n in range(50)]
    path.write_bytes(b"\n".join(written) + b"\n")
    assert len(open_queue(str(path)).splits()) > 4
    assert values(path) == written


def test_a_line_of_20_mb_is_one_message(tmp_path):
    path = tmp_path / "in.jsonl"
    long = b"x" * 20_000_000
    path.write_bytes(b"a\n" + long + b"\nb\n")
    assert values(path) == [b"a", long, b"b"]


def test_lines_that_are_not_utf_8_are_unchanged(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xff\xfe\x00\nb\n")
    assert values(path) == [b"\xff\xfe\x00", b"b"]


def test_json_with_line_breaks_becomes_one_line_and_other_such_values_are_rejected(tmp_path):
    path = tmp_path / "out.jsonl"
    bad = [Message(b"a\nb"), Message(b""), Message(None)]
    empty = "an empty value would be an empty line, which readers skip; write to a .parquet file"
    assert put(path, Message(b'{\n "n": 1.10\n}'), *bad) == [
        (bad[0], "the value has a line break and is not JSON; write to a .parquet file"),
        (bad[1], empty),
        (bad[2], empty),
    ]
    assert values(path) == [b'{  "n": 1.10 }']


def test_a_record_that_is_similar_to_a_dead_letter_is_unchanged(tmp_path):
    path = tmp_path / "in.jsonl"
    lines = [b'{"payload":"x"}', b'{"payload_base64":"eA=="', b'{"payload":{}}']
    path.write_bytes(b"\n".join(lines))
    assert values(path) == lines


# --- CSV


def test_a_row_is_an_object_of_strings(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b'\xef\xbb\xbfname,zip\r\n"Ann, B.",007\r\n\r\nBob,\r\n')
    assert items(path) == [
        Message(b'{"name":"Ann, B.","zip":"007"}', source=(str(path), 0, 0)),
        Message(b'{"name":"Bob","zip":""}', source=(str(path), 0, 1)),
    ]


def test_invalid_rows_are_unreadable_and_the_others_are_read(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"a,b\n1,2\n\xff,3\n4\n5,6\n")
    first, last, bytes_row, short_row = sorted(items(path), key=lambda item: isinstance(item, UnreadableError))
    assert (first.value, last.value) == (b'{"a":"1","b":"2"}', b'{"a":"5","b":"6"}')
    assert (str(bytes_row), bytes_row.payload, bytes_row.offset) == (
        f"row 2 of the file {path} is not valid UTF-8; correct it and send the row again",
        b"\xff,3",
        1,
    )
    assert (str(short_row), short_row.payload, short_row.offset) == (
        f"row 3 of the file {path} has 1 fields, but the header names 2; correct it and send the row again",
        b"4",
        2,
    )


def test_a_header_that_names_a_column_twice_is_refused(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"a,b,a\n1,2,3\n")
    assert refused(lambda: items(path)) == f"the file {path} names a column twice in its header a,b,a; rename one"


def test_rows_are_written_from_objects_and_new_columns_are_added_at_the_end(tmp_path):
    path = tmp_path / "out.csv"
    put(path, Message(b'{"name": "Ann", "n": 1}'))
    rejected = put(path, Message(b'{"n": 2.5, "list": [1, "x"], "ok": true, "none": null}'), Message(b"[1]"))
    assert rejected == [
        (Message(b"[1]"), "the value is not a JSON object with fields, which a row needs; write to a .jsonl file")
    ]
    assert path.read_text() == 'name,n,list,ok,none\nAnn,1,,,\n,2.5,"[1,""x""]",true,\n'


@any_property
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(st.characters(codec="utf-8")), min_size=3), min_size=1))
def test_any_text_can_be_stored_in_csv(tmp_path, rows):
    path = tmp_path / "any.csv"
    path.unlink(missing_ok=True)
    assert put(path, *map(Message.of, rows)) == []
    assert [message.json() for message in items(path)] == rows


# --- Parquet


@any_property
@given(st.lists(messages, min_size=1, max_size=5))
def test_any_message_can_be_stored_in_parquet(tmp_path, written):
    path = tmp_path / "any.parquet"
    path.unlink(missing_ok=True)
    put(path, *written)
    assert items(path) == [m._replace(source=(str(path), 0, n)) for n, m in enumerate(written)]


def test_any_other_table_is_read_as_an_object_per_row(tmp_path):
    path = tmp_path / "in.parquet"
    day = pa.array([1], pa.date32())
    instant = pa.array([1], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"n": [1], "raw": [b"\xff"], "day": day, "at": instant, "none": [float("nan")]}), path)
    assert values(path) == [
        b'{"n":1,"raw":"/w==","day":"1970-01-02","at":"1970-01-01 00:00:00.000000001Z","none":null}'
    ]


def test_a_table_with_the_columns_of_messages_but_other_types_is_read_as_objects(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"value": [[1]], "key": [2], "attributes": ["x"], "timestamp": [3]}), path)
    assert values(path) == [b'{"value":[1],"key":2,"attributes":"x","timestamp":3}']


def test_messages_are_not_appended_to_another_table(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": [1]}), path)
    before = path.read_bytes()
    assert refused(lambda: put(path, Message(b"a"))) == (
        f"the file {path} has the columns n, not those of messages (value, key, attributes, timestamp), "
        "so messages can't be appended; name another file"
    )
    assert (path.read_bytes(), visible(tmp_path)) == (before, ["in.parquet"])


@pytest.mark.integration
def test_a_large_parquet_file_is_read_in_small_batches(tmp_path):
    path = tmp_path / "in.parquet"
    put(path, *(Message(os.urandom(4 * 2**20)) for _ in range(10)))
    queue = open_queue(str(path))
    assert max(len(batch) for batch in queue.read(queue.splits()[0])) <= 5


# --- dead letters


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize("name", ["dead", "dead-*"])
def test_dead_letters_are_read_as_the_messages_they_represent(pipeline, tmp_path, name, suffix):
    path = f"{tmp_path}/{name}{suffix}"
    with pipeline() as p:
        made = p | beam.Create([LETTER, BYTES_LETTER]).with_output_types(DeadLetter)
        _ = made | WriteToQueue(path)
    read = [message._replace(source=None) for message in items(path)]
    assert sorted(read) == sorted([LETTER.as_message(), BYTES_LETTER.as_message()])
    assert sorted(map(DeadLetter.from_message, read)) == sorted([LETTER, BYTES_LETTER])


@pytest.mark.integration
def test_parquet_stores_the_fields_of_dead_letters_as_columns(tmp_path):
    path = tmp_path / "dead.parquet"
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([LETTER]).with_output_types(DeadLetter) | WriteToQueue(str(path))
    table = pq.read_table(path)
    assert table.column_names == list(DeadLetter._fields)
    assert (table["payload"][0].as_py(), table["step"][0].as_py()) == (LETTER.payload, "Check")


def test_lines_store_the_fields_of_dead_letters(tmp_path):
    path = tmp_path / "dead.jsonl"
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([BYTES_LETTER]).with_output_types(DeadLetter) | WriteToQueue(str(path))
    fields = orjson.loads(path.read_bytes())
    assert (fields["payload_base64"], fields["key"]) == (base64.b64encode(b"\xff\n").decode(), None)
    assert fields["attributes"] == [["lang", "en"], ["raw", {"base64": "/g=="}]]


def test_lines_store_the_fields_of_a_dead_letter_that_is_a_message(tmp_path):
    path = tmp_path / "dead.jsonl"
    put(path, LETTER.as_message())
    assert orjson.loads(path.read_bytes())["error_message"] == "no\nway"
    assert items(path) == [LETTER.as_message()._replace(source=(str(path), 0, 0))]


def test_dead_letters_can_be_appended_to_messages_in_parquet_but_messages_not_to_dead_letters(tmp_path):
    mixed, dead = tmp_path / "mixed.parquet", tmp_path / "dead.parquet"
    put(mixed, Message(b"a"))
    for path in (mixed, dead):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create([LETTER]).with_output_types(DeadLetter) | WriteToQueue(str(path))
    assert [m._replace(source=None) for m in items(mixed)] == [Message(b"a"), LETTER.as_message()]
    assert refused(lambda: put(dead, Message(b"a"))) == (
        f"the file {dead} holds dead letters; write other messages to another file"
    )


def test_csv_refuses_dead_letters(tmp_path):
    p = beam.Pipeline("FnApiRunner")
    sentence = r"dead\.csv can't hold all fields of a dead letter; write dead letters to \.jsonl or \.parquet$"
    with pytest.raises(ValueError, match=sentence):
        _ = p | beam.Create([LETTER]).with_output_types(DeadLetter) | WriteToQueue(f"{tmp_path}/dead.csv")


def test_unreadable_rows_become_dead_letters_and_the_other_rows_are_read(pipeline, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"a\n1\n\xff\n2\n")
    with pipeline() as p:
        with ErrorHandler(DeadLetters() | WriteToQueue(f"{tmp_path}/dead.jsonl")) as dead:
            read = p | "Rows" >> ReadFromQueue(str(path)).with_error_handler(dead)
        assert_that(read | beam.Map(lambda m: m.value), equal_to([b'{"a":"1"}', b'{"a":"2"}']))
    (letter,) = map(DeadLetter.from_message, items(tmp_path / "dead.jsonl"))
    assert (letter.payload, letter.step, letter.source) == (b"\xff", "Rows", f"{path}/0/1")


# --- publication


@pytest.mark.integration
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_run_appends_to_a_path_without_a_star(pipeline, tmp_path, suffix):
    path = tmp_path / "new" / "folder" / f"out{suffix}"
    for turn in range(3):
        with pipeline() as p:
            _ = p | beam.Create([{"n": f"{turn}{i}"} for i in range(3)]) | WriteToQueue(str(path))
    assert [m.json()["n"][0] for m in items(path)] == list("000111222")
    assert sorted(m.json()["n"] for m in items(path)) == [f"{turn}{i}" for turn in range(3) for i in range(3)]
    assert (visible(path.parent), temporaries(path.parent)) == ([path.name], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_run_writes_new_files_to_a_path_with_a_star(pipeline, tmp_path, suffix):
    path = tmp_path / f"out-*{suffix}"
    for turn in range(2):
        with pipeline() as p:
            _ = p | beam.Create([{"n": f"{turn}{i}"} for i in range(3)]) | WriteToQueue(str(path))
    assert sorted(m.json()["n"] for m in items(path)) == ["00", "01", "02", "10", "11", "12"]
    runs = {name.rpartition("-")[0] for name in visible(tmp_path)}
    assert (len(runs), temporaries(tmp_path)) == (2, [])


@pytest.mark.parametrize("name", ["out.jsonl", "out-*.csv"])
def test_a_run_without_messages_writes_no_file(tmp_path, name):
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([]).with_output_types(Message) | WriteToQueue(f"{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_publishes_nothing_and_its_files_are_removed_after_a_day(tmp_path):
    path = tmp_path / "out.jsonl"
    fails = lambda n: Message(b"%d" % (1 // (3 - n)))  # noqa: E731
    with pytest.raises(ZeroDivisionError), beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([1, 2, 3]) | beam.Map(fails).with_output_types(Message) | WriteToQueue(str(path))
    assert visible(tmp_path) == []
    ages = {".out.jsonl.R-1.abc.tmp": 23, ".out.jsonl.R-2.abc.tmp": 25, ".other.jsonl.R-2.abc.tmp": 25}
    for name, hours in ages.items():
        (tmp_path / name).write_bytes(b"left")
        os.utime(tmp_path / name, (time.time() - hours * 3600,) * 2)
    put(path, Message(b"a"))
    assert sorted(set(temporaries(tmp_path)) & set(ages)) == [".other.jsonl.R-2.abc.tmp", ".out.jsonl.R-1.abc.tmp"]


def test_appending_keeps_a_last_line_without_a_line_break(tmp_path):
    plain, zipped = tmp_path / "out.jsonl", tmp_path / "out.jsonl.gz"
    plain.write_bytes(b"a")
    zipped.write_bytes(gzip.compress(b"a"))
    for path in (plain, zipped):
        put(path, Message(b"b"))
        assert values(path) == [b"a", b"b"]


def test_appending_follows_a_link_and_keeps_the_mode(tmp_path):
    path, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    path.write_bytes(b"a\n")
    path.chmod(0o640)
    link.symlink_to(path)
    put(link, Message(b"b"))
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"a\nb\n", 0o640)


@pytest.mark.parametrize("name", ["out-*.jsonl", "out-*.csv"])
def test_a_repeated_publication_changes_nothing(tmp_path, name):
    target = open_queue(f"{tmp_path}/{name}").target()
    shards = []
    for number in range(2):
        shard = target.shard("RUN", Message)
        shard.write([Message.of({"n": number})])
        shards.append(shard.close())
    assert temporaries(tmp_path) != []
    target.publish(shards, "RUN")
    before = visible(tmp_path)
    target.publish(shards[::-1], "RUN")
    assert visible(tmp_path) == before
    assert sorted(int(m.json()["n"]) for m in items(tmp_path / name)) == [0, 1]


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out-*.csv"])
def test_a_publication_repeated_after_a_restart_from_a_checkpoint_changes_nothing(tmp_path, name):
    target = open_queue(f"{tmp_path}/{name}").target()
    shard = target.shard("RUN", Message)
    shard.write([Message.of({"n": 1})])
    shards = [shard.close()]
    truncate(target.publish(shards, "RUN"))
    assert target.publish(shards, "RUN") == []
    assert [int(m.json()["n"]) for m in items(tmp_path / name)] == [1]


@pytest.mark.parametrize("name", ["out.jsonl", "out-*.jsonl", "out-*.csv"])
def test_a_lost_temporary_file_fails_the_run(tmp_path, name):
    target = open_queue(f"{tmp_path}/{name}").target()
    shard = target.shard("RUN", Message)
    shard.write([Message.of({"n": 1})])
    done = shard.close()
    Path(done.path).unlink()
    assert refused(lambda: target.publish([done], "RUN")) == (
        f"the file {tmp_path}/{name} can't be written: its temporary file {done.path} is missing; all workers "
        "must share the folder, and its files must not be removed during a run"
    )


@pytest.mark.integration
@pytest.mark.parametrize("name", ["out.parquet", "out-*.csv"])
def test_an_endless_stream_is_published_window_by_window(prism_endpoint, tmp_path, name):
    flags = [
        "--runner=PortableRunner",
        f"--job_endpoint={prism_endpoint}",
        "--environment_type=LOOPBACK",
    ]
    endless = test_stream.TestStream(coder=registry.get_coder(bytes)).advance_watermark_to(0)
    for minute in range(3):
        timed = [TimestampedValue(b'{"n": %d}' % (minute * 10 + n), minute * 60 + n) for n in range(3)]
        endless = endless.add_elements(timed).advance_watermark_to((minute + 1) * 60)
    with beam.Pipeline(options=PipelineOptions([*flags, "--streaming"])) as p:
        windowed = p | endless.advance_watermark_to_infinity() | beam.WindowInto(beam.window.FixedWindows(60))
        typed = windowed | beam.Map(Message).with_output_types(Message)
        written = typed | WriteToQueue(f"{tmp_path}/{name}") | beam.Map(lambda written: written.messages)
        assert_that(written, equal_to([3, 3, 3]), reify_windows=False)
    assert sorted(int(m.json()["n"]) for m in items(tmp_path / name)) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert len(visible(tmp_path)) == (3 if "*" in name else 1)


def test_a_relative_path_is_relative_to_the_folder_where_the_pipeline_is_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    p = beam.Pipeline("FnApiRunner")
    for name in ("plain.jsonl", "new/out-*.jsonl"):
        _ = p | name >> beam.Create([b"1"]) | f"Write {name}" >> WriteToQueue(name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    p.run().wait_until_finish()
    assert values(tmp_path / "plain.jsonl") == values(tmp_path / "new" / "out-*.jsonl") == [b"1"]


def test_a_windowed_bounded_stream_is_one_publication(pipeline, tmp_path):
    with pipeline() as p:
        timed = p | beam.Create([1, 100, 1000]) | beam.Map(lambda n: beam.window.TimestampedValue({"n": n}, n))
        _ = timed | beam.WindowInto(beam.window.FixedWindows(60)) | WriteToQueue(f"{tmp_path}/out.jsonl")
    assert sorted(values(tmp_path / "out.jsonl")) == [b'{"n":1000}', b'{"n":100}', b'{"n":1}']
    assert visible(tmp_path) == ["out.jsonl"]


def test_an_endless_stream_needs_windows(tmp_path):
    p = beam.Pipeline("FnApiRunner")
    endless = p | beam.Create([Message(b"a")])
    endless.is_bounded = False
    with pytest.raises(ValueError, match=r"apply beam\.WindowInto\(beam\.window\.FixedWindows\(60\)\) first"):
        _ = endless | WriteToQueue(f"{tmp_path}/out.jsonl")


def test_patterns_match_neither_hidden_files_nor_folders(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"a\n")
    (tmp_path / ".b.jsonl").write_bytes(b"b\n")
    (tmp_path / "c.jsonl").mkdir()
    (tmp_path / "c.jsonl" / "d.jsonl").write_bytes(b"d\n")
    assert values(f"{tmp_path}/*.jsonl") == [b"a"]
    assert values(f"{tmp_path}/**/*.jsonl") == [b"a", b"d"]


def test_the_name_of_an_existing_file_is_not_a_pattern(tmp_path):
    (tmp_path / "a[1].jsonl").write_bytes(b"itself\n")
    (tmp_path / "a1.jsonl").write_bytes(b"other\n")
    assert values(tmp_path / "a[1].jsonl") == [b"itself"]


class Shelf(LocalFileSystem):
    """A file system that only Beam knows: shelf://name is a folder."""

    folder = ""

    @classmethod
    def scheme(cls):
        return "shelf"

    def _local(self, path):
        return path.replace("shelf://", f"{Shelf.folder}/")

    def match(self, patterns, limits=None):
        (found,) = super().match([self._local(pattern) for pattern in patterns], limits)
        for metadata in found.metadata_list:
            metadata.path = metadata.path.replace(f"{Shelf.folder}/", "shelf://")
        return [found]

    def create(self, path, *arguments, **keywords):
        return super().create(self._local(path), *arguments, **keywords)

    def open(self, path, *arguments, **keywords):
        return super().open(self._local(path), *arguments, **keywords)

    def rename(self, sources, destinations):
        super().rename([*map(self._local, sources)], [*map(self._local, destinations)])

    def delete(self, paths):
        for path in paths:
            Path(self._local(path)).unlink()


def on_the_shelf(name):
    """The queue for a path that only Beam knows."""
    path = f"shelf://{name}"
    return FileQueue(QueueUri(path, "shelf", "", path, {}))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_store_that_only_beam_knows_is_written_and_read(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(Shelf, "folder", str(tmp_path))
    write = WriteToQueue("/unused.jsonl")
    write._queue = on_the_shelf(f"data/out-*{suffix}")
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([{"n": str(n)} for n in range(3)]) | write
    queue = on_the_shelf(f"data/out-*{suffix}")
    read = [m for split in queue.splits() for batch in queue.read(split) for m in batch]
    assert sorted(m.json()["n"] for m in read) == ["0", "1", "2"]
    assert {m.source[0].partition("out-")[0] for m in read} == {"shelf://data/"}
    assert (len(visible(tmp_path / "data")), temporaries(tmp_path / "data")) == (1, [])


def test_a_line_of_20_mb_passes_through_a_pipeline(pipeline, tmp_path):
    long = b'{"long": "' + b"x" * 20_000_000 + b'"}'
    (tmp_path / "in.jsonl").write_bytes(b'{"long": ""}\n' + long)
    with pipeline() as p:
        _ = p | ReadFromQueue(f"{tmp_path}/in.jsonl") | WriteToQueue(f"{tmp_path}/out.jsonl")
    assert values(tmp_path / "out.jsonl") == [b'{"long": ""}', long]


# --- several processes and kill -9


def child(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.transforms.queues.files.files_run", *map(str, arguments)], cwd=ROOT
    )


@pytest.mark.integration
def test_processes_that_append_to_one_file_at_once_lose_nothing(tmp_path):
    path = tmp_path / "out.jsonl"
    writers = [child("append", path, f"w{n}", 20) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(values(path)) == sorted(
        b"w%d/%d/%d" % (n, b, i) for n in range(3) for b in range(20) for i in range(100)
    )


@pytest.mark.integration
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out-*.jsonl"])
def test_a_writer_killed_at_any_moment_leaves_whole_batches_only(tmp_path, name):
    for kill in range(5):
        before = len(items(tmp_path / name)) if visible(tmp_path) else 0
        writer = child("append", tmp_path / name, f"w{kill}", 100_000)
        while not visible(tmp_path) or len(items(tmp_path / name)) < before + 100 * (kill + 1):
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        batches = {}
        for value in values(tmp_path / name):
            writer_name, batch, _ = value.split(b"/")
            batches[writer_name, batch] = batches.get((writer_name, batch), 0) + 1
        assert set(batches.values()) == {100}
        for writer_number in range(kill + 1):
            mine = sorted(int(batch) for who, batch in batches if who == b"w%d" % writer_number)
            assert mine == list(range(len(mine)))


@pytest.mark.integration
@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out-*.jsonl"])
def test_a_run_killed_before_it_publishes_shows_nothing_and_the_next_is_complete(tmp_path, name):
    source, target = tmp_path / "in.jsonl", tmp_path / "out" / name
    source.write_bytes(b"".join(b"%d\n" % n for n in range(20_000)))
    for moment in (1, 10_000, 20_000):
        assert child("run", source, target, moment).wait() == -signal.SIGKILL
        assert not target.parent.exists() or visible(target.parent) == []
    assert child("run", source, target, 0).wait() == 0
    assert sorted(map(int, values(target))) == list(range(20_000))


# --- error messages


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_has_no_messages(tmp_path, suffix):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(b"")
    assert items(path) == []


def test_a_missing_file_is_named(tmp_path):
    assert refused(lambda: items(tmp_path / "in.jsonl")) == (
        f"the file {tmp_path}/in.jsonl does not exist; check the path, or leave this queue out of the run"
    )
    assert refused(lambda: items(tmp_path / "*.csv")) == (
        f"no file matches {tmp_path}/*.csv; check the path, or leave this queue out of the run"
    )


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    path = tmp_path / "in.jsonl"
    path.mkdir()
    assert refused(lambda: items(path)) == f"the file {path} can't be read: {path} is a folder; name another path"
    assert refused(lambda: put(path, Message(b"a"))) == (
        f"the file {path} can't be written: {path} is a folder; name another path"
    )


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "data").write_bytes(b"")
    path = tmp_path / "data" / "out.jsonl"
    assert refused(lambda: put(path, Message(b"a"))) == (
        f"the file {path} can't be written: {tmp_path}/data is not a folder; name another path"
    )


def test_a_truncated_parquet_file_is_unreadable(tmp_path):
    path = tmp_path / "in.parquet"
    put(path, *(Message(os.urandom(100)) for _ in range(1000)))
    path.write_bytes(path.read_bytes()[:50_000])
    assert refused(lambda: items(path)).startswith(
        f"the file {path} is not a complete Parquet file: Parquet magic bytes not found"
    )
    with beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler(DeadLetters() | WriteToQueue(f"{tmp_path}/dead.jsonl")) as dead:
            read = p | ReadFromQueue(str(path)).with_error_handler(dead)
        assert_that(read, equal_to([]))
    (letter,) = map(DeadLetter.from_message, items(tmp_path / "dead.jsonl"))
    assert (letter.payload, letter.source) == (b"", f"{path}/0/0")


@pytest.mark.integration
def test_a_truncated_gzip_file_is_read_up_to_the_damage_and_named(tmp_path):
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % n**9 for n in range(30_000)))[:-20])
    queue = open_queue(str(path))
    batches = queue.read(queue.splits()[0])
    assert next(batches)[0].value == b"0"
    assert refused(lambda: list(batches)) == (
        f"the file {path} is not a complete gzip file: Compressed file ended before the end-of-stream marker was "
        "reached; write it again"
    )


@pytest.mark.integration
def test_missing_permissions_are_named():
    with locked_folder() as folder:
        (folder / "in.jsonl").write_bytes(b"a\n")
        (folder / "in.jsonl").chmod(0)
        assert error_of(f"q = open_queue('{folder}/in.jsonl'); list(q.read(q.splits()[0]))") == (
            f"the file {folder}/in.jsonl can't be read: this user (uid N) has no permission for {folder}/in.jsonl; "
            "change its mode or owner, or name another path"
        )
        assert error_of(f"open_queue('{folder}/out.jsonl').writer()") == (
            f"the file {folder}/out.jsonl can't be written: this user (uid N) has no permission for {folder}; "
            "change its mode or owner, or name another path"
        )


def test_an_output_that_cannot_be_written_is_refused_before_the_work_starts(tmp_path):
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(QueueError, match=r"data is not a folder; name another path$"):
        _ = beam.Pipeline("FnApiRunner") | beam.Create([b"a"]) | WriteToQueue(f"{tmp_path}/data/out.jsonl")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "/data/*/out.jsonl",
            "can't write to /data/*/out.jsonl: only one * is allowed, in the file's name, where it means the run",
        ),
        ("/data/out-*-*.jsonl", "can't write to /data/out-*-*.jsonl: only one * is allowed"),
        (
            "gs://bucket/a/out.jsonl.gz",
            "can't append to gs://bucket/a/out.jsonl.gz: such a store has no locks, so two runs could overwrite "
            "each other's messages; write new files with a * in the name, gs://bucket/a/out-*.jsonl.gz",
        ),
    ],
)
def test_a_path_that_can_only_be_read_is_refused_for_writing(path, sentence):
    with pytest.raises(ValueError) as error:
        open_queue(path).write_transform()
    assert str(error.value).startswith(sentence)
