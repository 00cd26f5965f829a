"""The supervisor of a pool: the process that starts and ends the pool's worker processes, with a single thread.

```
Beam worker --start, end--> supervisor --fork--> reaper --fork--> worker process --> what its items start
     |                           +-------fork--> reaper --fork--> worker process --> ...
     |                                                                  |
     +------------------------- items, results -------------------------+
```

It loads the work once and forks a worker process in milliseconds, so a crash costs no second import of all modules.
Its thread never runs user code, so it always notices the end of the Beam worker, even by kill -9, and then kills every
process below it. The reaper between it and each worker process is the parent of what the items detach.
"""

import os
import pickle
import shutil
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import NoReturn

from . import process_tree
from .reaper import reap
from .task import Task
from .worker_main import serve

__all__ = ["END", "START", "STOP", "PoolSupervisor", "main"]

#: Requests of the Beam worker, each with a process id.
START, END, STOP = "start", "end", "stop"


def main(descriptor: int) -> NoReturn:
    """Runs one pool until the Beam worker stops it, or is gone.

    The first message is the pickled task, with the surroundings of the Beam worker, in which the task's modules can be
    imported. The reply is None, or why the task can't be loaded.
    """
    control = Connection(descriptor)
    process_tree.become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.path[:], environment, folder, pickled = control.recv()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        task = pickle.loads(pickled)  # noqa: S301 (the pipeline's own code)
    except Exception:
        control.send(traceback.format_exc(limit=-1).strip().rpartition("\n")[2])
        os._exit(1)
    supervisor = PoolSupervisor(control, task)
    signal.signal(signal.SIGTERM, supervisor.end)
    with suppress(OSError, EOFError):  # The Beam worker is gone.
        control.send(None)
        supervisor.serve()
    supervisor.end()


class PoolSupervisor:
    """Starts and ends worker processes on request."""

    def __init__(self, control: Connection, task: Task) -> None:
        self._control, self._task = control, task
        self._folder = Path(tempfile.mkdtemp(prefix="work-queue-"))
        self._reapers = dict[int, int]()
        """By worker process. Without subreapers there are no reapers: each process stands for its own."""

    def serve(self) -> None:
        """Answers requests until the Beam worker stops the pool."""
        while (request := self._control.recv())[0] != STOP:
            kind, pid = request
            self._control.send(self._start_worker() if kind == START else self._end_worker(pid))

    def end(self, *_: object) -> NoReturn:
        """Kills all processes of the pool and ends this one."""
        for reaper in self._reapers.values():
            process_tree.kill_tree(reaper)
        process_tree.kill_descendants()
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def _start_worker(self) -> int:
        """Receives the descriptors of a new worker process and starts it; returns its process id."""
        connection, crash_output = recv_handle(self._control), recv_handle(self._control)
        supervisor, (pid_reader, pid_writer) = os.getpid(), os.pipe()
        reaper = os.fork()
        if reaper == 0:
            self._control.close()
            os.close(pid_reader)
            if process_tree.HAS_SUBREAPERS:
                process_tree.become_subreaper()
                worker = os.fork()
                if worker:
                    for descriptor in (connection, crash_output, pid_writer):
                        os.close(descriptor)
                    reap(worker, supervisor)
            self._become_worker(connection, crash_output, pid_writer)
        for descriptor in (connection, crash_output, pid_writer):
            os.close(descriptor)
        with open(pid_reader, "rb") as pid:  # noqa: PTH123 (a descriptor, not a path)
            worker = int(pid.read())
        self._reapers[worker] = reaper
        return worker

    def _become_worker(self, connection: int, crash_output: int, pid_writer: int) -> NoReturn:
        os.write(pid_writer, str(os.getpid()).encode())
        os.close(pid_writer)
        os.setsid()
        process_tree.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with suppress(OSError):  # When memory runs out, the kernel kills this process, not the Beam worker.
            Path("/proc/self/oom_score_adj").write_text("1000")
        # Temporary files of items, and of programs that they start, are removed with the worker process.
        folder = self._folder / str(os.getpid())
        folder.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        try:
            serve(connection, crash_output, self._task)
        finally:
            os._exit(1)

    def _end_worker(self, worker: int) -> int:
        """Kills the worker process, its reaper and all their descendants; returns the worker's wait status.

        If the reaper had died, its children are this process's.
        """
        reaper = self._reapers.pop(worker)
        status = process_tree.kill_tree(reaper)
        if reaper != worker:
            status = process_tree.kill_tree(worker)
        for orphan in set(process_tree.children()[os.getpid()]) - set(self._reapers.values()):
            process_tree.kill_tree(orphan)
        shutil.rmtree(self._folder / str(worker), ignore_errors=True)
        return status
