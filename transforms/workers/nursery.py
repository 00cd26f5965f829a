"""The process that brings up workers and ends them: one per pool, with a single thread.

```
Beam worker --start, end--> nursery --fork--> worker 1 --> whatever its item started
     |                                  +---> worker 2
     +---------------- items, results --------+
```

It loads the work once and forks a worker in milliseconds, so a crash costs no second import of everything. Its own
thread never runs user code, so it always notices when the Beam worker is gone, even by kill -9, and then ends every
process below it. As their subreaper (Linux) it also inherits what detached itself from a worker.
"""

import ctypes
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from .child import serve
from .task import Task

__all__ = ["ANSWER", "BROKEN", "COMMAND", "END", "START", "Setup", "main"]

#: Commands are a letter and a process id; answers a letter, a process id and what waitpid said.
COMMAND = struct.Struct("!ci")
ANSWER = struct.Struct("!cii")
START, END = b"S", b"E"
STARTED, ENDED, LOADED, BROKEN = b"s", b"e", b"l", b"b"

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PROC = Path("/proc")


class Setup(NamedTuple):
    """What the Beam worker tells a nursery first."""

    path: list[str]
    environment: dict[str, str]
    folder: str
    task: bytes


def main(descriptor: int) -> None:
    """Serves one pool until its Beam worker is gone."""
    control = socket.socket(fileno=descriptor)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        length = COMMAND.unpack(control.recv(COMMAND.size, socket.MSG_WAITALL))[1]
        setup: Setup = pickle.loads(control.recv(length, socket.MSG_WAITALL))  # noqa: S301 (the pipeline's own code)
        sys.path[:] = setup.path
        os.environ.clear()
        os.environ.update(setup.environment)
        os.chdir(setup.folder)
        task = pickle.loads(setup.task)  # noqa: S301 (as above)
    except Exception:
        _refuse(control)
    folder = Path(tempfile.mkdtemp(prefix="work-queue-"))
    nursery = _Nursery(control, task, folder)
    signal.signal(signal.SIGTERM, lambda *_: nursery.end_all())
    try:
        control.sendall(ANSWER.pack(LOADED, 0, 0))
        nursery.serve()
    except OSError:  # The Beam worker was gone before it had its answer.
        nursery.end_all()


class _Nursery:
    def __init__(self, control: socket.socket, task: Task, folder: Path) -> None:
        self._control, self._task, self._folder = control, task, folder
        self._workers = set[int]()

    def serve(self) -> NoReturn:
        while True:
            ready, _, _ = select.select([self._control], [], [], 1)
            if ready:
                command, descriptors, _, _ = socket.recv_fds(self._control, COMMAND.size, 2)
                if len(command) < COMMAND.size:  # The Beam worker is gone.
                    self.end_all()
                kind, pid = COMMAND.unpack(command)
                self._start(*descriptors) if kind == START else self._end(pid)
            else:
                self._bury_orphans()

    def end_all(self) -> NoReturn:
        for worker in self._workers:
            _kill_tree(worker)
        while alive := _children()[os.getpid()]:
            for child in alive:
                _kill_tree(child)
                os.waitpid(child, 0)
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def _start(self, connection: int, last_words: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(connection, last_words)
        os.close(connection)
        os.close(last_words)
        self._workers.add(pid)
        self._control.sendall(ANSWER.pack(STARTED, pid, 0))

    def _become_worker(self, connection: int, last_words: int) -> NoReturn:
        self._control.close()
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _volunteer_for_the_out_of_memory_killer()
        _use_own_folder(self._folder / str(os.getpid()))
        try:
            serve(connection, last_words, self._task)
        finally:
            os._exit(1)

    def _end(self, pid: int) -> None:
        """The worker, its session, what it started, and what detached itself from that."""
        before = _children()[os.getpid()]
        _kill_tree(pid)
        _, status = os.waitpid(pid, 0)
        self._workers.discard(pid)
        while orphans := [child for child in _children()[os.getpid()] if child not in before]:
            for orphan in orphans:
                _kill_tree(orphan)
                os.waitpid(orphan, 0)
        shutil.rmtree(self._folder / str(pid), ignore_errors=True)
        self._control.sendall(ANSWER.pack(ENDED, pid, status))

    def _bury_orphans(self) -> None:
        """Reaps the dead that were left to us; a worker's end is asked for by `_end`, so it stays."""
        for child in _children()[os.getpid()]:
            if child not in self._workers:
                os.waitpid(child, os.WNOHANG)


def _kill_tree(pid: int) -> None:
    _kill(pid, signal.SIGSTOP)  # It must not start anything while we look.
    family, waiting = list[int](), [pid]
    children = _children()
    while waiting:
        family.append(parent := waiting.pop())
        waiting += children[parent]
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for member in family:
        _kill(member, signal.SIGKILL)


def _children() -> defaultdict[int, list[int]]:
    """Every process's children, from /proc; nothing on systems without it, where sessions alone are ended."""
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
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _use_own_folder(folder: Path) -> None:
    """Temporary files of the item, and of the programs it starts, go with the worker, however it ends."""
    folder.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def _volunteer_for_the_out_of_memory_killer() -> None:
    """When memory ends, the kernel takes the worker whose item eats it, not the Beam worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _refuse(control: socket.socket) -> NoReturn:
    reason = traceback.format_exc(limit=-1).strip().rpartition("\n")[2].encode()
    control.sendall(ANSWER.pack(BROKEN, len(reason), 0) + reason)
    os._exit(1)
