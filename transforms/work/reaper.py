"""The reaper of a worker process: the process below which everything stays that the worker's items start.

As the nearest subreaper it becomes the parent of each process that detaches itself. So it is always known which
worker's items started a process, and none is lost when the worker process ends.
"""

import os
import signal
from typing import NoReturn

from .process_tree import children, die_with_parent, kill_descendants, kill_tree

__all__ = ["reap"]


def reap(worker: int, supervisor: int) -> NoReturn:
    """Reaps children that end by themselves, until the supervisor kills this process or ends itself."""
    signal.signal(signal.SIGTERM, _end)
    die_with_parent(signal.SIGTERM)
    if os.getppid() != supervisor:  # It ended before the signal was set.
        _end()
    while (child := _next_zombie()) != worker:
        os.waitpid(child, 0)
    while others := [child for child in children()[os.getpid()] if child != worker]:
        for child in others:
            kill_tree(child)
    while True:  # The worker stays a zombie: the supervisor reads its exit status.
        signal.pause()


def _next_zombie() -> int:
    """Waits until a child has ended, without reaping it."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return ended.si_pid if ended else 0


def _end(*_: object) -> NoReturn:
    kill_descendants()
    os._exit(0)
