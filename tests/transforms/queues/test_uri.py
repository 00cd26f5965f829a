"""QueueUri and open_queue: valid URIs, and the error messages for invalid ones."""

import pickle

import pytest

from beam_patterns.transforms.queues import QueueUri, open_queue

WRONG = {
    "": "a queue is named by a URI, not ''",
    "kafka://ann:secret@broker/orders": "the queue kafka://...@broker/orders has a user name or password in it",
    "carrier://pigeon": "the queue carrier://pigeon starts with carrier://, which is none of file, gs, ",
    "memory://": "the queue memory:// has no name; write memory://name",
    "memory://a?grup=b": "the queue memory://a?grup=b has an unknown parameter 'grup'; known are group",
    "sqlite:///q.db": "the queue sqlite:///q.db names no topic; write sqlite:///q.db?topic=name&group=name",
    "sqlite:///q.db?topic=t&group=": "the queue sqlite:///q.db?topic=t&group= names no group; write",
    "sqlite:///q.db?topic=t&groop=g": "has an unknown parameter 'groop'; known are topic, group",
    "sqlite://q.db?topic=t": "the queue sqlite://q.db?topic=t needs an absolute path with three slashes: sqlite:///",
    "/data/in.jsonl?group=g": "the queue /data/in.jsonl?group=g is a file, which is always read whole; remove",
    "file:///data/in.jsonl?group=g": "is a file, which is always read whole; remove the group",
    "file:///data/in.jsonl?fast=1": "has an unknown parameter 'fast'; known are items",
    "file:///data/*.mp4?fast=1": "has an unknown parameter 'fast'; known are items",
    "file:///data/*.mp4?group=g": "is a file, which is always read whole; remove the group",
    "file:///data/*.csv?items=rows": "must have items=files in a complete URI, such as file:///data/*.csv?items=files",
    "/data/*.csv?items=files": "must have items=files in a complete URI, such as file:///data/*.csv?items=files",
    "/data/*": "to read files as items write file:///videos/*.mp4 or file:///anything/*?items=files",
    "/data/*.[jm]*": "the file /data/*.[jm]* has no suffix that names a format",
    "file://data/in.jsonl": "needs an absolute path with three slashes: file:///data/in.jsonl",
    "/data/": "the queue /data/ is a folder; name the files in it: /data/*.jsonl",
    "/data/in.xls": "the file /data/in.xls has no suffix that names a format; known are .csv, .json, .jsonl, .ndjson,",
    "/data/in": "the file /data/in has no suffix that names a format",
    "/data/in.parquet.gz": "the file /data/in.parquet.gz would be compressed twice, since Parquet compresses itself",
}


@pytest.mark.parametrize("uri", WRONG)
def test_an_invalid_uri_is_refused_without_connecting(uri):
    with pytest.raises(ValueError) as refused:
        open_queue(uri)
    assert WRONG[uri] in str(refused.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("in.jsonl", "in.jsonl"),
        ("/data/100%/in.jsonl", "/data/100%/in.jsonl"),
        ("file:///data/a%20b.jsonl", "/data/a b.jsonl"),
        ("file://localhost/data/in.jsonl", "/data/in.jsonl"),
        ("gs://bucket/in/*.jsonl", "gs://bucket/in/*.jsonl"),
    ],
)
def test_the_path_of_a_uri_is_decoded(text, path):
    assert QueueUri.parse(text).path == path


@pytest.mark.parametrize("uri", ["memory://a?group=g", "/data/in.jsonl", "sqlite:///q.db?topic=t&group=g"])
def test_a_queue_can_be_pickled_and_its_name_is_its_uri(uri):
    assert str(pickle.loads(pickle.dumps(open_queue(uri)))) == uri


def test_parameters_are_percent_decoded():
    assert QueueUri.parse("sqlite:///q.db?topic=a%26b&group=%C3%A4").params == {"topic": "a&b", "group": "ä"}


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        ("memory://orders?group=a", "memory://orders?group=b", True),
        ("memory://orders", "http://orders/items", False),
        ("sqlite:///q.db?topic=a&group=g", "sqlite:///q.db?topic=a", True),
        ("sqlite:///q.db?topic=a", "sqlite:///q.db?topic=b", False),
        ("kafka://a:1,b:1/orders,returns?group=g", "kafka://b:1/returns", True),
        ("kafka://a:1/orders", "kafka://b:1/orders", False),
        ("kafka://a:1/orders", "memory://orders", False),
        ("pubsub://project/orders-reader?topic=orders", "pubsub://project/orders", True),
        ("pubsub://project/orders-reader", "pubsub://project/orders-reader?topic=orders", True),
        ("pubsub://project/orders-reader", "pubsub://project/orders", False),
        ("pubsub://project/orders", "pubsub://other/orders", False),
        ("/data/*.jsonl", "file:///data/out-*.jsonl", True),
        ("/data/*.mp4", "file:///data/a.mp4?items=files", True),
        ("/data/*.jsonl", "/data/out/a.jsonl", False),
        ("/data/q.db.jsonl", "sqlite:///data/q.db?topic=a", False),
    ],
)
def test_queues_overlap_if_a_message_written_to_one_may_be_read_from_the_other(
    one: str, other: str, overlaps: bool
) -> None:
    assert open_queue(one).overlaps(open_queue(other)) == open_queue(other).overlaps(open_queue(one)) == overlaps
