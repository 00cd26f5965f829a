"""The queue to which an item is sent back: a URI, with the name of the source queue that its dead letter carries."""

from typing import NamedTuple
from urllib.parse import quote

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Queue, QueueError, open_queue

from .letters import entry_queue

__all__ = ["Target"]

_QUEUE = "{queue}"


class Target(NamedTuple):
    """A queue's URI, in which {queue} stands for the name of an item's source queue.

    A letter has the name of this queue, but not its broker or database. By default these are those of the letters.

    >>> Target.beside("kafka://localhost:9092/dead?group=replay").uri
    'kafka://localhost:9092/{queue}'
    >>> Target.beside("sqlite:///data/queues.db?topic=dead&group=replay").uri
    'sqlite:///data/queues.db?topic={queue}'
    """

    uri: str
    must_exist: bool = False
    """Whether the queue is only assumed to exist, so that writing must not create it."""

    @staticmethod
    def beside(dead_letters: str) -> "Target":
        """Queues of the same broker or database."""
        uri = open_queue(dead_letters).sibling(_QUEUE)
        if uri is None:
            raise ValueError(
                f"--to: the letters in {dead_letters} name their source queue, but not its broker or database; "
                "write, for example, --to 'kafka://localhost:9092/{queue}', or the whole URI of one queue"
            )
        return Target(uri, must_exist=True)

    def kind(self) -> Queue:
        """Any of the queues. Raises ValueError if it can't be opened. Kafka allows no braces in a topic's name."""
        return open_queue(self.uri.replace(_QUEUE, "any"))

    def of(self, letter: DeadLetter) -> str | None:
        """The item's source queue; None if it is not known."""
        if _QUEUE not in self.uri:
            return self.uri
        name = entry_queue(letter)
        return self.uri.replace(_QUEUE, quote(name, safe="") if "?" in self.uri else name) if name else None

    def check(self, uri: str) -> None:
        """Raises QueueError for a queue that is only assumed to exist, and does not."""
        if not self.must_exist:
            return
        try:
            open_queue(f"{uri}{'&' if '?' in uri else '?'}group=replay_dead_letters").splits()
            return
        except QueueError as error:
            reason = str(error)
        # Raised outside the handler, because a run reports the first error of a chain.
        raise QueueError(f"the items' source queue is {uri}, but {reason}; name the right queue with --to")
