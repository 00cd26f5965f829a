"""The patterns for pipelines in Beam YAML: rows in, rows out, conditions and keys as CEL text.

routing.py    Copier, Filter, Splitter, Sharder, Merger
joining.py    Barrier, JoinParts, Dedupe
totals.py     Reduce, Sum, Histogram
work.py       WorkQueue, MultiWorker
queues.py     ReadFromQueue, WriteToQueue, CommitOffsets, DeadLetters
transform.py  what they share: errors in an output of their own
config.py     checks of their configuration
rows.py       rows, their types, and rows as messages
listing.py    the provider listing, through which Beam finds them
"""

from .joining import Barrier, Dedupe, JoinParts
from .queues import CommitOffsets, DeadLetters, ReadFromQueue, WriteToQueue
from .routing import Copier, Filter, Merger, Sharder, Splitter
from .totals import Histogram, Reduce, Sum
from .work import MultiWorker, WorkQueue

__all__ = [
    "Barrier",
    "CommitOffsets",
    "Copier",
    "DeadLetters",
    "Dedupe",
    "Filter",
    "Histogram",
    "JoinParts",
    "Merger",
    "MultiWorker",
    "ReadFromQueue",
    "Reduce",
    "Sharder",
    "Splitter",
    "Sum",
    "WorkQueue",
    "WriteToQueue",
]
