"""The built-in kinds of queue keep the laws of queue_contract."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from beam_patterns.testing import queue_contract
from beam_patterns.transforms.queues import Message
from beam_patterns.transforms.queues.http.server import Folder, server
from tests.servers.kafka import Cluster
from tests.servers.pubsub import Service


@pytest.mark.integration
def test_memory() -> None:
    queue_contract(f"memory://{uuid4().hex}")


@pytest.mark.integration
def test_sqlite(tmp_path: Path) -> None:
    queue_contract(f"sqlite://{tmp_path}/queues.db?topic=orders")


def add_file(folder: Path, name: str, content: bytes) -> Callable[[], object]:
    """A function that adds a file to a folder."""
    return lambda: (folder / name).write_bytes(content)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("suffix", "rejects", "damaged"),
    [
        (".jsonl", b"line\nbreak", None),
        (".jsonl.gz", b"", gzip.compress(b"truncated")[:-8]),
        (".csv", b"[1]", b"a,b\n1\n"),
        (".csv.gz", b"{}", gzip.compress(b"a\n1\n")[:-8]),
    ],
    ids=["jsonl", "jsonl.gz", "csv", "csv.gz"],
)
def test_files_of_values(tmp_path: Path, suffix: str, rejects: bytes, damaged: bytes | None) -> None:
    damage = add_file(tmp_path, f"out-damaged{suffix}", damaged) if damaged else None
    other = f"{tmp_path}/other{suffix}"
    queue_contract(f"{tmp_path}/out-*{suffix}", other=other, keeps=(), rejects=Message(rejects), damage=damage)
    queue_contract(f"{tmp_path}/appended{suffix}", other=other, keeps=(), rejects=Message(rejects))


@pytest.mark.integration
def test_parquet_files(tmp_path: Path) -> None:
    damage = add_file(tmp_path, "out-damaged.parquet", b"PAR1")
    queue_contract(f"{tmp_path}/out-*.parquet", other=f"{tmp_path}/other.parquet", damage=damage)
    queue_contract(f"{tmp_path}/appended.parquet")


@pytest.mark.integration
def test_files_as_items(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    not_utf_8 = tmp_path / os.fsdecode(b"\xff.mp4")
    queue_contract(f"{tmp_path}/*.mp4", other=f"{tmp_path}/other/*.mp4", damage=not_utf_8.touch)


class FolderWithMissingItems(Folder):
    """Lists items that it does not have."""

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.missing = list[str]()

    def names(self) -> list[str]:
        return super().names() + self.missing


@pytest.mark.integration
def test_http(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    source = FolderWithMissingItems(f"{tmp_path}/*.mp4")
    with server(source) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{serving.server_port}/api/v1/items"
        queue_contract(uri, other=f"{uri}/other", damage=lambda: source.missing.append("no such item"))
        serving.shutdown()


@pytest.mark.integration
@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_kafka(kafka: Cluster, client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_PATTERNS_KAFKA_CLIENT", client)
    topic = kafka.topic(3, **{"max.message.bytes": "20000"})
    queue_contract(kafka.uri(topic), rejects=Message(os.urandom(30_000), b"large"))


@pytest.mark.integration
def test_pub_sub(pubsub: Service) -> None:
    topic = pubsub.topic()
    queue_contract(
        pubsub.uri(topic),
        pubsub.uri(pubsub.subscription(topic), idle="2", topic=topic),
        other=pubsub.uri(pubsub.topic()),
        keeps=("key", "attributes"),
        rejects=Message(b"twice", attributes=(("a", b"1"), ("a", b"2"))),
    )
