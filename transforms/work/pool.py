"""Pools of worker processes: each item is alone in a process, which can be killed with all it started."""

import os
import queue
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from .fork_server import ForkServer
from .pool_supervisor import END, START, STOP
from .task import Job, Outcome
from .worker import WorkerProcess

__all__ = ["Pool", "PoolError", "PoolReference"]

_END_TIMEOUT = 30.0


class PoolError(RuntimeError):
    """The pool can't start, or has lost its worker processes; no item is to blame."""


class Pool:
    """A fixed number of worker processes for one task; `submit` accepts jobs from any thread.

    A thread here serves each worker process and sends it one item at a time, so it is always known which item caused a
    crash. Jobs wait in the order in which they were submitted.

    Why not pebble's pool: its workers share one pipe and its locks, and a worker that dies between two items (by a
    thread that an item left running) takes the pool with it.
    """

    def __init__(self, task: bytes, workers: int, timeout: float | None) -> None:
        self._timeout, self._lock = timeout, threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.error: PoolError | None = None
        self.users = 0
        self._fork_server = ForkServer.acquire()
        self._control = self._fork_server.fork_supervisor()
        if (problem := _load(self._control, task)) is not None:
            self._control.close()
            self._fork_server.release()
            raise PoolError(f"a worker process can't load the work: {problem}")
        self._threads = [
            threading.Thread(target=self._serve, name=f"work-queue-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queues an attempt at a job. `Job.finish` is called at its end."""
        if self.error is not None:
            raise self.error
        job.outcome, job.submitted_at = None, time.perf_counter()
        self._jobs.put(job)
        if self.error is not None:
            self._finish_all()

    def stop(self) -> None:
        """Kills all worker processes and whatever they started; their jobs finish as failed."""
        for _ in self._threads:
            self._jobs.put(None)
        with suppress(OSError), self._lock:
            self._control.send((STOP, 0))
            self._control.poll(_END_TIMEOUT)  # Until the supervisor has killed all other processes and has ended.
        for thread in self._threads:
            thread.join()
        self._control.close()
        self._fork_server.release()

    def _serve(self) -> None:
        worker: WorkerProcess | None = None
        job: Job | None = None
        try:
            while True:
                worker = worker or self._start_worker()  # Before the next job arrives.
                job = self._jobs.get()
                if job is None:
                    return
                if job.abandoned:
                    continue
                if worker.has_exited:
                    self._end_worker(worker)
                    worker = None
                    worker = self._start_worker()
                outcome = worker.attempt(job, self._timeout)
                if outcome is None:
                    outcome = self._end_worker(worker)
                    worker = None
                job.finish(outcome)
                job = None
        except Exception as error:
            self.error = self.error or PoolError(f"the pool of worker processes failed: {error}")
            if job is not None:
                job.finish(None)
            self._finish_all()
        finally:
            if worker is not None:
                worker.close()

    def _finish_all(self) -> None:
        """Finishes the jobs that no worker process will get any more, so that no caller waits for them."""
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job.finish(None)
            self._jobs.put(None)  # It ends another thread.

    def _start_worker(self) -> WorkerProcess:
        ours, theirs = Pipe()
        crash_output = tempfile.TemporaryFile()  # noqa: SIM115 (WorkerProcess closes it)
        with theirs:
            pid = self._request(START, 0, theirs.fileno(), crash_output.fileno())
        return WorkerProcess(pid, ours, crash_output)

    def _end_worker(self, worker: WorkerProcess) -> Outcome:
        """Kills the worker process, if it has not ended, and everything it started; returns the outcome of its item."""
        outcome = worker.outcome_of_end(os.waitstatus_to_exitcode(self._request(END, worker.pid)))
        worker.close()
        return outcome

    def _request(self, kind: str, pid: int, *descriptors: int) -> int:
        try:
            with self._lock:
                self._control.send((kind, pid))
                for descriptor in descriptors:
                    send_handle(self._control, descriptor, 0)
                return self._control.recv()
        except (OSError, EOFError) as error:
            raise PoolError("the pool's supervisor process ended unexpectedly") from error


def _load(control: Connection, task: bytes) -> str | None:
    """Sends the task to the supervisor; returns None when it has loaded the task, otherwise what is wrong."""
    try:
        control.send((sys.path, dict(os.environ), str(Path.cwd()), task))
        reason = control.recv()
    except (OSError, EOFError):
        return "the pool's supervisor process ended; see its output above"
    return reason and f"{reason}. Make its module importable in worker processes"


_POOLS: dict[Any, Pool] = {}
_POOLS_LOCK = threading.Lock()


class PoolReference:
    """A reference to a pool, until `release()` is called or the reference is garbage.

    All references of a process to the same task share one pool: otherwise each bundle that runs at the same time would
    start worker processes of its own. The pool ends with its last reference.
    """

    def __init__(self, task: bytes, workers: int, timeout: float | None) -> None:
        key = (os.getpid(), task, workers, timeout)
        with _POOLS_LOCK:
            pool = _POOLS.get(key)
            if pool is None or pool.error is not None:
                pool = _POOLS[key] = Pool(task, workers, timeout)
            pool.users += 1
        self.pool = pool
        self.release = weakref.finalize(self, _release, key, pool)


def _release(key: Any, pool: Pool) -> None:
    with _POOLS_LOCK:
        pool.users -= 1
        if pool.users:
            return
        if _POOLS.get(key) is pool:
            del _POOLS[key]
    pool.stop()
