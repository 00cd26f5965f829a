"""The batch patterns of Burns' *Designing Distributed Systems* as Apache Beam transforms."""

from .base.dead_letter import DeadLetter
from .base.errors import BreakerError, ElementError
from .combine.bins import Bins, Quantiles
from .copier import Copier
from .dead_letters import DeadLetters
from .dedupe import Dedupe
from .filter import Filter
from .histogram import Histogram
from .join import Join
from .joining.state import Joined, LatePartError, MissingPartsError
from .map import Map
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
    "BreakerError",
    "Copier",
    "DeadLetter",
    "DeadLetters",
    "Dedupe",
    "ElementError",
    "Filter",
    "Histogram",
    "Join",
    "Joined",
    "LatePartError",
    "Map",
    "Merger",
    "MissingPartsError",
    "MultiWorker",
    "Quantiles",
    "ReadRows",
    "Reduce",
    "Sharder",
    "Splitter",
    "Sum",
    "WorkQueue",
]
