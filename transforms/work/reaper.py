"""The keeper of a worker: the process in which everything stays that the worker's items have started.

As the nearest subreaper it becomes the parent of whatever detaches itself, so there is never a doubt whose item has
started a process, and none is lost when its worker dies. It buries those that end by themselves.
"""

import os
import signal
from typing import NoReturn

from . import process_tree as family

__all__ = ["keep"]


def keep(worker: int, nursery: int) -> NoReturn:
    """Until the nursery ends this process, or is gone itself."""
    signal.signal(signal.SIGTERM, _give_up)
    family.die_with_parent(signal.SIGTERM)
    if os.getppid() != nursery:  # Gone before we could hear of it.
        _give_up()
    while (dead := _next_dead()) != worker:
        os.waitpid(dead, 0)
    while others := [child for child in family.children_of(os.getpid()) if child != worker]:
        for child in others:
            family.end(child)
    while True:  # How the worker ended is for the nursery to ask.
        signal.pause()


def _next_dead() -> int:
    """A child that has ended, and is left as it is."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return ended.si_pid if ended else 0


def _give_up(*_: object) -> NoReturn:
    family.end_below()
    os._exit(0)
