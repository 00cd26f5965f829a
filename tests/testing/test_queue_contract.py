"""queue_contract: it passes for correct kinds of queue and names the law that a broken kind breaks."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from beam_patterns.testing import queue_contract
from beam_patterns.transforms.queues import Message, open_queue, register_queue, registry


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of an empty queue of a broken kind."""
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    register_queue("broken", f"tests.testing.broken_queues:{request.param}")
    return f"broken://{uuid4().hex}"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("broken", "law"),
    [
        ("Unpicklable", "addresses: it can't be pickled"),
        ("Unchecked", "addresses: check_readable or check_writable is wrong"),
        ("Overlapping", "addresses: overlaps("),
        ("LosingKeys", "fields: "),
        ("LosingMessages", "fields: "),
        ("Unbounded", "bounded reads: "),
        ("Unordered", "order: messages of a partition are not in order"),
        ("Sourceless", "order: messages have no source"),
        ("Destructive", "at least once: "),
        ("Renaming", "at least once: "),
        ("Uncommitted", "commits: "),
        ("Backward", "commits: "),
    ],
    indirect=["broken"],
)
def test_the_broken_law_is_named(broken: str, law: str) -> None:
    with pytest.raises(AssertionError, match=f"^{broken} breaks the law of {re.escape(law)}"):
        queue_contract(broken)


@pytest.mark.parametrize("broken", ["Rejecting"], indirect=True)
def test_a_rejected_message_must_be_returned_by_flush(broken: str) -> None:
    with pytest.raises(AssertionError, match="breaks the law of dead letters: flush did not return"):
        queue_contract(broken, rejects=Message(b"bad"))


@pytest.mark.integration
@pytest.mark.parametrize("broken", ["Stopping"], indirect=True)
def test_an_unreadable_part_must_become_a_dead_letter(broken: str) -> None:
    def damage() -> None:
        writer = open_queue(broken).writer()
        writer.write([Message(b"damage")])
        writer.flush()

    with pytest.raises(AssertionError, match="breaks the law of dead letters: unreadable parts gave 0"):
        queue_contract(broken, damage=damage)


def test_another_queue_may_be_given() -> None:
    name = uuid4().hex
    with pytest.raises(AssertionError, match="breaks the law of addresses: overlaps"):
        queue_contract(f"memory://{name}", other=f"memory://{name}?group=g")


@pytest.mark.integration
def test_fields_that_the_kind_does_not_store_are_left_out(tmp_path) -> None:
    with pytest.raises(AssertionError, match="breaks the law of fields: "):
        queue_contract(f"{tmp_path}/out.jsonl")
    queue_contract(f"{tmp_path}/out-*.jsonl", keeps=())
