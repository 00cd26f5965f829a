"""Killing a process with all its descendants, including those that detached themselves.

On Linux a subreaper becomes the parent of the descendants that lose theirs (by setsid or a double fork), so whatever
an item starts stays below the reaper of its worker process, and no other process is ever there. Other systems have
neither subreapers nor /proc: there, only the session of the worker process is killed.
"""

import ctypes
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

__all__ = ["HAS_SUBREAPERS", "become_subreaper", "children", "die_with_parent", "kill_descendants", "kill_tree"]

#: Whether this system has subreapers, so that no process can escape.
HAS_SUBREAPERS = sys.platform == "linux"

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PROC = Path("/proc")


def become_subreaper() -> None:
    """Makes this process the parent of each descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """Makes the kernel send this process a signal when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, number)


def children() -> defaultdict[int, list[int]]:
    """The current children of each process, including zombies."""
    found = defaultdict[int, list[int]](list)
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        found[int(fields[1])].append(int(stat.parent.name))
    return found


def kill_tree(pid: int) -> int:
    """Kills a child and all its descendants; returns the child's wait status, even if it had ended before.

    Each generation is stopped before its children are listed: a stopped process can neither start another one nor reap
    a zombie, whose process id could then belong to a new process. The last generation is killed first.
    """
    tree, generation = list[int](), [pid]
    while generation:
        tree += generation
        for member in generation:
            _kill(member, signal.SIGSTOP)
        found = children()
        generation = [child for member in generation for child in found[member] if child not in tree]
    for member in reversed(tree):
        _kill(member, signal.SIGKILL)
    if not HAS_SUBREAPERS:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def kill_descendants() -> None:
    """Kills all descendants of this process."""
    while below := children()[os.getpid()]:
        for child in below:
            kill_tree(child)


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if HAS_SUBREAPERS:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
