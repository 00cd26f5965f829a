"""What a WorkQueue's items are worked on by: a function, a `Command`, an `HttpWorker`, a `MultiWorker`."""

from .command import Command, CommandError
from .done import DoneMarkers
from .http import HttpBusyError, HttpError, HttpRefusedError, HttpWorker
from .sizing import Concurrency, concurrency_of
from .task import PermanentError
from .worker import WorkerCrashedError

__all__ = [
    "Command",
    "CommandError",
    "Concurrency",
    "DoneMarkers",
    "HttpBusyError",
    "HttpError",
    "HttpRefusedError",
    "HttpWorker",
    "PermanentError",
    "WorkerCrashedError",
    "concurrency_of",
]
