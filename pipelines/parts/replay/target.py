"""Where an item entered: the queue's URI, from the name of the queue that its dead letter carries."""

from typing import NamedTuple
from urllib.parse import quote

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Queue, QueueError, open_queue

from .letters import entry_queue

__all__ = ["Target"]

_QUEUE = "{queue}"


class Target(NamedTuple):
    """A queue's URI, in which {queue} stands for the name of the queue where an item entered.

    A letter knows its queue's name, not the broker or database. Unless told otherwise that is where the letters are.

    >>> Target.beside("kafka://localhost:9092/dead?group=replay").uri
    'kafka://localhost:9092/{queue}'
    >>> Target.beside("sqlite:///data/queues.db?topic=dead&group=replay").uri
    'sqlite:///data/queues.db?topic={queue}'
    """

    uri: str
    must_exist: bool = False
    """A queue that is only assumed to be there is not made by writing to it."""

    @staticmethod
    def beside(dead_letters: str) -> "Target":
        """Queues of the same broker or database."""
        uri = open_queue(dead_letters).sibling(_QUEUE)
        if uri is None:
            raise ValueError(
                f"--to: the letters in {dead_letters} name the queue where their items entered, but not its broker or "
                "database; write for instance --to 'kafka://localhost:9092/{queue}', or the whole URI of one queue"
            )
        return Target(uri, must_exist=True)

    def kind(self) -> Queue:
        """Any of the queues; a ValueError if none can be opened. Kafka takes no braces in a topic's name."""
        return open_queue(self.uri.replace(_QUEUE, "any"))

    def of(self, letter: DeadLetter) -> str | None:
        """Where this item entered; None if that can't be known."""
        if _QUEUE not in self.uri:
            return self.uri
        name = entry_queue(letter)
        return self.uri.replace(_QUEUE, quote(name, safe="") if "?" in self.uri else name) if name else None

    def check(self, uri: str) -> None:
        """A QueueError where the queue is only assumed and not there."""
        if not self.must_exist:
            return
        try:
            open_queue(f"{uri}{'&' if '?' in uri else '?'}group=replay_dead_letters").splits()
            return
        except QueueError as error:
            said = str(error)
        raise QueueError(f"items entered by {uri}, but {said}; name the right queue with --to")
