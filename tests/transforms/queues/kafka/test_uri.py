"""kafka:// URIs and the settings file, without a server."""

from pathlib import Path

import pytest

from beam_patterns.transforms.queues import QueueError, QueueUri, WriteToQueue, open_queue
from beam_patterns.transforms.queues.kafka.settings import settings


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("kafka://localhost/orders", "names the server 'localhost'; write host:port, such as localhost:9092"),
        ("kafka://a:9092,b/orders", "names the server 'b'; write host:port"),
        ("kafka:///orders", "names the server ''; write host:port"),
        ("kafka://a:9092", "names the topic ''; write kafka://host:port/topic"),
        ("kafka://a:9092/or ders", "names the topic 'or ders'"),
        ("kafka://a:9092/orders/x", "names the topic 'orders/x'"),
        ("kafka://a:9092/orders,", "names the topic ''"),
        ("kafka://a:9092/orders?grop=x", "unknown parameter 'grop'; known are group, start"),
        ("kafka://a:9092/orders?compression=rar", "has compression=rar; known are lz4, zstd, snappy, gzip, none"),
        ("kafka://a:9092/orders?linger=fast", "has linger=fast; write milliseconds, such as linger=50"),
        ("kafka://a:9092/orders?patience=4", "has patience=4; write seconds, 5 or more, such as patience=120"),
        ("kafka://a:9092/orders?start=yesterday", "has start=yesterday; write earliest, latest, or a time such as"),
        ("kafka://ann:secret@a:9092/orders", "has a user name or password in it"),
    ],
)
def test_an_invalid_uri_is_refused_at_once(uri: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="the queue") as refusal:
        open_queue(uri)
    assert sentence in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://localhost:9092/orders",
        "kafka://[::1]:9092,b.example.com:9093/orders,returns-2.x_y?group=g&start=latest&linger=5&compression=zstd",
        "kafka://a:1/t?start=2026-01-31T00:00:00Z",
        "kafka://a:1/t?start=2026-01-31T00:00:00+01:00",
    ],
)
def test_a_valid_uri_is_accepted_without_connecting(uri: str) -> None:
    assert str(open_queue(uri)) == uri


def test_writing_needs_one_topic() -> None:
    with pytest.raises(ValueError, match="names 2 topics; writing needs exactly one"):
        open_queue("kafka://a:9092/orders,returns").writer()
    with pytest.raises(ValueError, match="names 2 topics; writing needs exactly one"):
        WriteToQueue("kafka://a:9092/orders,returns")


def test_an_unknown_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_PATTERNS_KAFKA_CLIENT", "faust")
    with pytest.raises(ValueError, match="BEAM_PATTERNS_KAFKA_CLIENT=faust is none of confluent, kafka-python"):
        open_queue("kafka://a:9092/orders?group=g").splits()


def test_settings_come_from_a_file_named_by_the_uri_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# ours\nsecurity.protocol=SASL_SSL\n\nsasl.password = a=b\n")
    expected = {"security.protocol": "SASL_SSL", "sasl.password": "a=b"}
    assert settings(QueueUri.parse(f"kafka://a:1/t?settings={file}")) == expected
    assert settings(QueueUri.parse("kafka://a:1/t")) == {}
    monkeypatch.setenv("BEAM_PATTERNS_KAFKA_SETTINGS", str(file))
    assert settings(QueueUri.parse("kafka://a:1/t")) == expected


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("sasl.pasword=hunter2", "unknown setting 'sasl.pasword'"),
        ("hunter2", "line 1 has no '='"),
    ],
)
def test_an_invalid_settings_file_is_named_without_its_secrets(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(line)
    with pytest.raises(QueueError, match=f"the settings file {file}") as refusal:
        settings(QueueUri.parse(f"kafka://a:1/t?settings={file}"))
    assert sentence in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_missing_settings_file_is_named() -> None:
    with pytest.raises(QueueError, match=r"the settings file /no/such of the queue kafka://a:1/t.* can't be read"):
        settings(QueueUri.parse("kafka://a:1/t?settings=/no/such"))
