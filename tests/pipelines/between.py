"""What the tests of pipelines between queues share: a database of queues, and what is in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message, open_queue

CLOSES = "balance: in = out + dropped + dead + duplicates at every step"


class Place:
    """Topics in a database in one folder."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "queues.db"

    def uri(self, topic: str, group: str = "") -> str:
        """The URI of a topic."""
        return f"sqlite://{self.database}?topic={topic}" + (f"&group={group}" if group else "")

    def put(self, topic: str, *messages: Message) -> None:
        """Appends messages to a topic."""
        writer = open_queue(self.uri(topic)).writer()
        writer.write(messages)
        assert not writer.flush()
        writer.close()

    def messages(self, topic: str) -> list[Message]:
        """All messages of a topic in order, without their id and source."""
        return [m._replace(attributes=_without_id(m.attributes), source=None) for m in self._read(topic)]

    def dead(self) -> list[DeadLetter]:
        """All dead letters."""
        return [DeadLetter.from_message(message) for message in self._read("dead")]

    def _read(self, topic: str) -> list[Message]:
        queue = open_queue(self.uri(topic, "test"))
        return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def _without_id(attributes: Sequence[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(pair for pair in attributes if pair[0] != MESSAGE_ID)


def refused(run: Callable[[list[str]], int], arguments: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error message about a command line; an empty value leaves an option out."""
    assert run([f"--{name}={value}" for name, value in arguments.items() if value]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    return shown.err
