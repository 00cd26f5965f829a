"""Queues by URI: `ReadFromQueue(uri)`, `WriteToQueue(uri)`, `CommitOffsets(...)`.

See docs/queues.md for the kinds of queue and their parameters.
"""

from ..core.message import MESSAGE_ID, Message
from .commit import CommitOffsets
from .queue import Position, Queue, QueueError, QueueUri, open_queue
from .read import ReadFromQueue
from .write import WriteToQueue, Written

__all__ = [
    "MESSAGE_ID",
    "CommitOffsets",
    "Message",
    "Position",
    "Queue",
    "QueueError",
    "QueueUri",
    "ReadFromQueue",
    "WriteToQueue",
    "Written",
    "open_queue",
]
