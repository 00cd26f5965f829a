"""The batch patterns of Burns' *Designing Distributed Systems* as Apache Beam transforms."""

from .copier import Copier
from .core.bins import Bins, Quantiles
from .core.groups import Joined
from .core.routing import ElementError
from .dead_letters import DeadLetter, DeadLetters
from .dedupe import Dedupe
from .filter import Filter
from .histogram import Histogram
from .join import Join
from .merger import Merger
from .multi_worker import MultiWorker
from .reduce import Reduce
from .rows import ReadRows
from .sharder import Sharder
from .splitter import Splitter
from .sum import Sum
from .work_queue import WorkQueue

__all__ = [
    "Bins",
    "Copier",
    "DeadLetter",
    "DeadLetters",
    "Dedupe",
    "ElementError",
    "Filter",
    "Histogram",
    "Join",
    "Joined",
    "Merger",
    "MultiWorker",
    "Quantiles",
    "ReadRows",
    "Reduce",
    "Sharder",
    "Splitter",
    "Sum",
    "WorkQueue",
]
