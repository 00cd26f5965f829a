"""The workers of a WorkQueue: a function, a `Command`, an `HttpWorker` or a `MultiWorker`, and what they may raise."""

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
