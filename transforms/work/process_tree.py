"""Processes and all that descend from them, however well those hide.

On Linux a subreaper inherits what detaches itself from its descendants (setsid, double fork), so whatever an item has
started stays below the worker's keeper until that ends, and nothing else is ever there. Elsewhere there is neither that
nor /proc: only a worker's own session is ended.
"""

import ctypes
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

__all__ = ["IS_COMPLETE", "adopt_orphans", "children_of", "die_with_parent", "end", "end_below"]

#: Whether nothing can escape here.
IS_COMPLETE = sys.platform == "linux"

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PROC = Path("/proc")


def adopt_orphans() -> None:
    """What loses its parent below this process becomes this one's child."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """The signal that this process gets when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def children_of(pid: int) -> list[int]:
    """As they are now, the dead included that nobody has waited for."""
    return _children()[pid]


def end(pid: int) -> int:
    """Ends a child and all below it; how it ended, by itself perhaps.

    Generation by generation they are stopped before we look for their children: then none can start another or wait for
    a dead one, whose number could be another process's by now. Those of the last generation die first.
    """
    family, generation = list[int](), [pid]
    while generation:
        family += generation
        for member in generation:
            _kill(member, signal.SIGSTOP)
        children = _children()
        generation = [child for member in generation for child in children[member] if child not in family]
    for member in reversed(family):
        _kill(member, signal.SIGKILL)
    if not IS_COMPLETE:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def end_below() -> None:
    """Ends everything below this process."""
    while below := children_of(os.getpid()):
        for child in below:
            end(child)


def _children() -> defaultdict[int, list[int]]:
    children = defaultdict[int, list[int]](list)
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    return children


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if IS_COMPLETE:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
