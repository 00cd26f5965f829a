"""The patterns for pipelines in Beam YAML: rows in, rows out, conditions and keys as CEL text.

asking.py     conditions and keys
items.py      rows, and what CEL and JSON see of them
errors.py     YAML's error_handling
routing.py    Copier, Filter, Splitter, Sharder, Merger
gathering.py  Barrier, JoinParts, Dedupe
totals.py     Reduce, Sum, Histogram
work.py       WorkQueue, MultiWorker
queues.py     ReadFromQueue, WriteToQueue, CommitOffsets, DeadLetters
listing.py    the provider listing, which names them for Beam
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
