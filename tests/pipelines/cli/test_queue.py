"""beam-patterns queue: create, publish, listen, peek, count, lag, copy."""

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from beam_patterns.pipelines.cli.main import main
from tests.servers import wait_until
from tests.servers.kafka import Cluster
from tests.servers.pubsub import Service


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        self.code = main(["queue", *arguments])
        self.out, self.err = (text.splitlines() for text in capsys.readouterr())

    @property
    def values(self) -> list[Any]:
        """The payloads of the messages it printed."""
        return [json.loads(line)["value"] for line in self.out]


def type_in(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def orders(folder: Path, group: str = "me") -> str:
    """A queue in a folder."""
    return f"sqlite://{folder}/queues.db?topic=orders&group={group}"


def test_lines_are_published_peeked_at_and_counted_and_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = orders(tmp_path)
    assert Said(capsys, "create", uri).out == [f"{uri} exists"]
    type_in(monkeypatch, b"one\ntwo\r\n\xff\n")
    assert Said(capsys, "publish", uri).out == [f"3 messages written to {uri}"]
    assert Said(capsys, "peek", uri, "-n", "2").values == ["one", "two"]
    assert Said(capsys, "peek", uri).values == ["one", "two", {"base64": "/w=="}]
    assert Said(capsys, "count", uri).out == ["3"]
    assert Said(capsys, "lag", uri).out == ["orders\t0\t3\t3", "lag\t3"]


def test_a_peek_shows_key_attributes_time_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from beam_patterns.transforms.queues import Message, open_queue

    uri = orders(tmp_path)
    writer = open_queue(uri).writer()
    writer.write([Message(b"{}", b"ann", (("lang", b"en"), ("raw", b"\xff")), 12.5), Message(None)])
    writer.flush()
    assert [json.loads(line) for line in Said(capsys, "peek", uri).out] == [
        {
            "value": "{}",
            "key": "ann",
            "attributes": [["lang", "en"], ["raw", {"base64": "/w=="}]],
            "timestamp": 12.5,
            "source": ["orders", 0, 0],
        },
        {"source": ["orders", 0, 1]},
    ]


def test_messages_are_copied_between_kinds_of_queues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, copied = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"n": 1}\n{"n": 2}\n')
    assert Said(capsys, "publish", orders(tmp_path), str(file)).code == 0
    assert Said(capsys, "copy", orders(tmp_path), str(copied)).out == [f"2 messages written to {copied}"]
    assert copied.read_text() == file.read_text()
    assert Said(capsys, "count", orders(tmp_path)).out == ["2"]


@pytest.mark.integration
def test_listening_shows_each_message_once_and_moves_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, heard = orders(tmp_path), tmp_path / "heard"
    assert Said(capsys, "create", uri).code == 0
    command = [sys.executable, "-m", "beam_patterns.pipelines", "queue", "listen", uri]
    with heard.open("wb") as out:
        listener = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
    try:
        for number in range(3):
            type_in(monkeypatch, b"%d\n" % number)
            assert Said(capsys, "publish", uri).code == 0
            wait_until(lambda lines=number + 1: len(heard.read_text().splitlines()) == lines, "the message")
        wait_until(lambda: Said(capsys, "count", uri).out == ["0"], "the commit")
        os.kill(listener.pid, signal.SIGINT)
        assert (listener.wait(30), listener.stderr and listener.stderr.read()) == (130, b"")
    finally:
        listener.kill()
    assert [json.loads(line)["value"] for line in heard.read_text().splitlines()] == ["0", "1", "2"]
    assert Said(capsys, "count", orders(tmp_path, group="other")).out == ["3"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["peek", "carrier://pigeon"], 2, "the queue carrier://pigeon starts with carrier://, which is none of"),
        (["listen", "/data/in.jsonl"], 1, "the queue /data/in.jsonl keeps no positions, so it can't be followed"),
        (["copy", "/data/*.jsonl", "/data/a.jsonl"], 2, "/data/a.jsonl is the queue that is read; copy into another"),
        (["lag", "/data/in.jsonl"], 1, "the queue /data/in.jsonl has no offsets, so it has no lag"),
        (["count", "sqlite:///nowhere/q.db?topic=a&group=b"], 1, "/nowhere/q.db"),
        (["dance", "/data/in.jsonl"], 2, "usage: beam-patterns queue"),
        ([], 2, "usage: beam-patterns queue"),
    ],
)
def test_what_can_not_be_done_is_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    said = Said(capsys, *arguments)
    assert (said.code, said.out) == (code, [])
    assert sentence in said.err[0]


def test_what_a_queue_refuses_is_counted_and_the_rest_of_it_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, b"one\n\ntwo\n")
    said = Said(capsys, "publish", str(tmp_path / "out.jsonl"))
    assert (said.code, said.err) == (
        1,
        [
            "1 of 3 messages can't be written: an empty value would be an empty line, which readers skip; write to a "
            f".parquet file; at least 2 messages were written to {tmp_path}/out.jsonl"
        ],
    )
    assert (tmp_path / "out.jsonl").read_text() == "one\ntwo\n"


def test_a_line_that_is_typed_twice_is_two_messages_with_two_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in (b"ping\nping\n", b"ping\n"):
        type_in(monkeypatch, typed)
        assert Said(capsys, "publish", orders(tmp_path)).code == 0
    shown = [json.loads(line)["attributes"] for line in Said(capsys, "peek", orders(tmp_path)).out]
    assert len({value for ((name, value),) in shown if name == "message_id"}) == 3


@pytest.mark.integration
def test_a_topic_and_its_subscription_are_made_written_and_read(
    pubsub: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, subscription = pubsub.uri("made"), pubsub.uri("made-reader", idle="2")
    for _ in range(2):  # A second time it is there already.
        assert Said(capsys, "create", topic).code == 0
        assert Said(capsys, "create", f"{subscription}&topic=made").code == 0
    type_in(monkeypatch, b"one\ntwo\n")
    assert Said(capsys, "publish", topic).out == [f"2 messages written to {topic}"]
    assert sorted(Said(capsys, "peek", subscription).values) == ["one", "two"]
    assert Said(capsys, "count", subscription).out == ["2"]

    said = Said(capsys, "create", f"{pubsub.uri('other-reader')}?topic=nothing")
    assert said.code == 1
    assert "has no topic 'nothing' in the project 'tests'" in said.err[0]


@pytest.mark.integration
def test_a_kafka_topic_is_made_as_the_uri_says_and_a_different_one_is_left_as_it_is(
    kafka: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"made-{uuid.uuid4().hex}"
    uri = kafka.uri(topic, partitions="3", replication="1", **{"retention.ms": "86400000"})
    for _ in range(2):  # A second time it is there already.
        assert Said(capsys, "create", uri).out == [f"{uri} exists"]
    assert Said(capsys, "create", kafka.uri(topic)).code == 0
    assert Said(capsys, "lag", kafka.uri(topic, group="g")).out == ["lag\t0"]

    said = Said(capsys, "create", kafka.uri(topic, partitions="6", **{"retention.ms": "1000"}))
    assert said.code == 1
    assert said.err == [
        f"the topic '{topic}' at {kafka.servers} exists already, with partitions=3, not 6 and retention.ms=86400000, "
        "not 1000; it was not changed: change it with Kafka's tools, or correct the queue "
        f"{kafka.uri(topic, partitions='6', **{'retention.ms': '1000'})}"
    ]
    assert kafka.partitions(topic) == 3

    said = Said(capsys, "create", kafka.uri(f"{topic}-more", replication="9"))
    assert said.code == 1
    assert "InvalidReplicationFactorError" in said.err[0]
    said = Said(capsys, "create", kafka.uri(f"{topic}-more", **{"retention.fortnights": "1"}))
    assert said.code == 1
    assert "retention.fortnights" in said.err[0]
