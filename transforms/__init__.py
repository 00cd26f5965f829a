"""The batch patterns of Burns' *Designing Distributed Systems* as Apache Beam transforms.

Element by element, for one stream:
    Filter(keep)            a b c --> a c              drops elements
    Map(function)           a b c --> A B C            replaces each element by a result
    Dedupe(key)             a b a --> a b              drops repeated elements
    WorkQueue(work)         a b c --> A B C            real work in worker processes, with retries and timeouts
    MultiWorker(f, g)       a --> f --> g --> A        several workers as one, for WorkQueue

One stream to several, and several to one:
    Copier("x", "y")        a b   --> x: a b   y: a b              every branch gets every element
    Splitter(x=is_x)        a b c --> x: a     otherwise: b c      the first case that holds takes the element
    Sharder(2, key)         a b c --> 0: a c   1: b                equal keys go to the same shard
    Merger()                x: a b   y: c --> a b c                one stream with all elements

Waiting and merging:
    Join()                  x: a   y: b --> x: a   y: b            nothing passes before all inputs have finished
    Join(key)               x: a1  y: a2 --> Joined(a, {x, y})     the parts of each item
    Reduce(merge, key)      (k, a) (k, b) --> (k, merge(a, b))     one element per key
    Sum(value, key)         (k, 1) (k, 2) --> (k, 3)               exact sums per key
    Histogram(value, key)   (k, 1) (k, 7) --> (k, Bins)            counts in bins, or Quantiles, per key

Sources and failures:
    ReadRows(files, Row)    *.parquet, *.csv --> Row Row Row       rows in Arrow tables
    DeadLetters()           errors --> DeadLetter DeadLetter       for an ErrorHandler: .with_error_handler(handler)

`queues` reads and writes messages, `work` has workers, `balance` the counters of a run, `extend` the parts for patterns
of your own. `Stream[T]` is a PCollection[T] for which type checkers know the result of `|`.
"""

from .base.columns import Predicate
from .base.dead_letter import DeadLetter
from .base.errors import BreakerError, ElementError
from .base.pattern import Stream
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
    "Predicate",
    "Quantiles",
    "ReadRows",
    "Reduce",
    "Sharder",
    "Splitter",
    "Stream",
    "Sum",
    "WorkQueue",
]
