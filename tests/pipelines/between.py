"""What the tests of pipelines between queues share: queues in a place of their own, and what lies in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message, open_queue

CLOSES = "balance: in = out + dropped + dead + duplicates at every step"


class Place:
    """Topics in a database below one folder."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "queues.db"

    def uri(self, topic: str, group: str = "") -> str:
        """A topic's queue."""
        return f"sqlite://{self.database}?topic={topic}" + (f"&group={group}" if group else "")

    def put(self, topic: str, *messages: Message) -> None:
        """Messages at the end of a topic."""
        writer = open_queue(self.uri(topic)).writer()
        writer.write(messages)
        assert not writer.flush()
        writer.close()

    def lies(self, topic: str) -> list[Message]:
        """All messages of a topic in order, as they were before they got an id and a place."""
        queue = open_queue(self.uri(topic, "looks"))
        messages = [message for split in queue.splits() for batch in queue.read(split) for message in batch]
        return [m._replace(attributes=_without_id(m.attributes), source=None) for m in messages]

    def dead(self) -> list[DeadLetter]:
        """All dead letters."""
        queue = open_queue(self.uri("dead", "looks"))
        messages = [message for split in queue.splits() for batch in queue.read(split) for message in batch]
        return [DeadLetter.from_message(message) for message in messages]


def _without_id(attributes: Sequence[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(pair for pair in attributes if pair[0] != MESSAGE_ID)


def refused(run: Callable[[list[str]], int], arguments: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which a command line is refused; an empty value leaves an option out."""
    assert run([f"--{name}={value}" for name, value in arguments.items() if value]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err
