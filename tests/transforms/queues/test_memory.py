"""memory://: topics and groups in one process."""

from uuid import uuid4

import pytest

from beam_patterns.transforms.queues import Message, Position, Split, open_queue


@pytest.fixture
def uri():
    uri = f"memory://{uuid4().hex}"
    writer = open_queue(uri).writer()
    writer.write([Message(b"%d" % number) for number in range(5000)])
    writer.flush()
    return uri


def test_a_group_reads_from_its_position(uri):
    queue = open_queue(f"{uri}?group=g")
    assert queue.splits() == [Split("0", 0, 5000)]
    queue.commit([Position("0", 4998)])
    (split,) = queue.splits()
    assert [m.value for batch in queue.read(split) for m in batch] == [b"4998", b"4999"]


def test_a_position_never_moves_backward(uri):
    queue = open_queue(f"{uri}?group=g")
    queue.commit([Position("0", 5000)])
    queue.commit([Position("0", 10)])
    assert queue.splits() == []


def test_groups_read_independently(uri):
    open_queue(f"{uri}?group=a").commit([Position("0", 5000)])
    assert open_queue(f"{uri}?group=b").splits() == [Split("0", 0, 5000)]


def test_messages_come_in_batches_with_their_source(uri):
    queue = open_queue(uri)
    batches = list(queue.read(queue.splits()[0]))
    assert [len(batch) for batch in batches] == [4096, 904]
    assert [m.source[2] for batch in batches for m in batch] == list(range(5000))


def test_messages_are_visible_only_after_a_flush(uri):
    writer = open_queue(uri).writer()
    writer.write([Message(b"open")])
    assert open_queue(uri).splits() == [Split("0", 0, 5000)]
