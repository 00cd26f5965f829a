"""The process that brings up workers and ends them: one per pool, with a single thread.

```
Beam worker --start, end--> nursery --fork--> keeper --fork--> worker 1 --> whatever its item started
     |                                  +---> keeper --------> worker 2
     +------------------------ items, results ---------------------+
```

It loads the work once and forks a worker in milliseconds, so a crash costs no second import of everything. Its own
thread never runs user code, so it always notices when the Beam worker is gone, even by kill -9, and then ends every
process below it. Between it and each worker is a keeper, which inherits what the worker's items detach from themselves.
"""

import os
import pickle
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from . import process_tree as family
from .reaper import keep
from .task import Task
from .worker_main import serve

__all__ = ["ANSWER", "BROKEN", "COMMAND", "END", "START", "Setup", "main"]

#: Commands are a letter and a process id; answers a letter, a process id and what waitpid said.
COMMAND = struct.Struct("!ci")
ANSWER = struct.Struct("!cii")
START, END = b"S", b"E"
STARTED, ENDED, LOADED, BROKEN = b"s", b"e", b"l", b"b"


class Setup(NamedTuple):
    """What the Beam worker tells a nursery first."""

    path: list[str]
    environment: dict[str, str]
    folder: str
    task: bytes


def main(descriptor: int) -> None:
    """Serves one pool until its Beam worker is gone."""
    control = socket.socket(fileno=descriptor)
    family.adopt_orphans()
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
        self._keepers = dict[int, int]()
        """Of each worker; on systems where a keeper could not keep anything the worker itself."""

    def serve(self) -> NoReturn:
        while True:
            command, descriptors, _, _ = socket.recv_fds(self._control, COMMAND.size, 2)
            if len(command) < COMMAND.size:  # The Beam worker is gone.
                self.end_all()
            kind, pid = COMMAND.unpack(command)
            self._start(*descriptors) if kind == START else self._end(pid)

    def end_all(self) -> NoReturn:
        for keeper in self._keepers.values():
            family.end(keeper)
        family.end_below()
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def _start(self, connection: int, last_words: int) -> None:
        nursery, (ours, theirs) = os.getpid(), os.pipe()
        keeper = os.fork()
        if keeper == 0:
            self._control.close()
            os.close(ours)
            if family.IS_COMPLETE:
                family.adopt_orphans()
                worker = os.fork()
                if worker:
                    for descriptor in (connection, last_words, theirs):
                        os.close(descriptor)
                    keep(worker, nursery)
            self._become_worker(connection, last_words, theirs)
        for descriptor in (connection, last_words, theirs):
            os.close(descriptor)
        with open(ours, "rb") as report:  # noqa: PTH123 (a descriptor, not a path)
            worker = int(report.read())
        self._keepers[worker] = keeper
        self._control.sendall(ANSWER.pack(STARTED, worker, 0))

    def _become_worker(self, connection: int, last_words: int, report: int) -> NoReturn:
        os.write(report, str(os.getpid()).encode())
        os.close(report)
        os.setsid()
        family.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _volunteer_for_the_out_of_memory_killer()
        _use_own_folder(self._folder / str(os.getpid()))
        try:
            serve(connection, last_words, self._task)
        finally:
            os._exit(1)

    def _end(self, worker: int) -> None:
        """The worker, its keeper and all they kept; its keeper's children are ours when that is dead."""
        keeper = self._keepers.pop(worker)
        status = family.end(keeper)
        if keeper != worker:
            status = family.end(worker)
        for orphan in set(family.children_of(os.getpid())) - set(self._keepers.values()):
            family.end(orphan)
        shutil.rmtree(self._folder / str(worker), ignore_errors=True)
        self._control.sendall(ANSWER.pack(ENDED, worker, status))


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
