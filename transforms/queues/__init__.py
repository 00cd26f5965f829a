"""Queues by URI: `ReadFromQueue(uri)`, `WriteToQueue(uri)`, `CommitOffsets(...)`.

See docs/queues.md for the kinds of queue and their parameters.
"""

from ..base.errors import QueueError, UnreadableError
from ..base.message import MESSAGE_ID, Message
from .commit import CommitOffsets
from .parameters import Parameter
from .queue import Position, Queue, Rejected, Split, Writer
from .read import ReadFromQueue
from .record_json import message_from_json, message_to_json
from .registry import open_queue, queue_kind, queue_schemes, queue_under, register_queue
from .uri import QueueUri
from .write import WriteToQueue, Written, as_message

__all__ = [
    "MESSAGE_ID",
    "CommitOffsets",
    "Message",
    "Parameter",
    "Position",
    "Queue",
    "QueueError",
    "QueueUri",
    "ReadFromQueue",
    "Rejected",
    "Split",
    "UnreadableError",
    "WriteToQueue",
    "Writer",
    "Written",
    "as_message",
    "message_from_json",
    "message_to_json",
    "open_queue",
    "queue_kind",
    "queue_schemes",
    "queue_under",
    "register_queue",
]
