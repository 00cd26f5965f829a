"""Local worker processes for a work queue: each item alone in a process that can be ended with all it started."""

import os
import pickle
import queue
import socket
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from . import pool_supervisor as nursery
from .fork_server import Spawner
from .task import Job
from .worker import Worker, WorkerEndedError

__all__ = ["Lease", "Pool", "PoolError"]


_LONGEST_END = 30.0


class PoolError(RuntimeError):
    """The pool can't start or has lost its workers; no item is to blame."""


class Pool:
    """A fixed number of workers that all do one task; `submit` takes jobs from any thread.

    Each worker has a thread here that waits for it. At most one item is in a worker, so there is no doubt whose fault a
    crash is; what is submitted beyond that waits in order.

    Not pebble's pool: there all workers share one pipe and its locks, and one that dies between two items (a thread of
    the item's, left behind) takes the pool with it.
    """

    def __init__(self, task: bytes, workers: int, timeout: float | None) -> None:
        self._timeout, self._lock = timeout, threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.lost: PoolError | None = None
        self.users = 0
        self._spawner = Spawner.taken()
        self._control = self._spawner.nursery()
        try:
            _loaded(self._control, task)
        except PoolError:
            self._control.close()
            self._spawner.release()
            raise
        self._threads = [
            threading.Thread(target=self._work, name=f"work-queue-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queues an attempt at a job; it comes back on its own queue."""
        if self.lost is not None:
            raise self.lost
        job.outcome, job.submitted_at = None, time.perf_counter()
        self._jobs.put(job)
        if self.lost is not None:
            self._give_up()

    def stop(self) -> None:
        """Ends all workers and whatever they started; items in them come back as failed."""
        for _ in self._threads:
            self._jobs.put(None)
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)  # The nursery hears it and ends everything below it, then itself.
            self._control.settimeout(_LONGEST_END)
            while self._control.recv(1024):
                pass
        for thread in self._threads:
            thread.join()
        self._control.close()
        self._spawner.release()

    def _work(self) -> None:
        worker: Worker | None = None
        job: Job | None = None
        try:
            while True:
                worker = worker or self._start_worker()  # Ready before the next item comes.
                job = self._jobs.get()
                if job is None:
                    return
                if job.abandoned:
                    continue
                if worker.dead:
                    self._bury(worker)
                    worker.close()
                    worker = self._start_worker()
                try:
                    outcome = worker.attempt(job, self._timeout)
                except WorkerEndedError as ended:
                    outcome = ended.outcome(self._bury(worker))
                    worker.close()
                    worker = None
                job.finish(outcome)
                job = None
        except Exception as error:
            self._fail(error, job)
        finally:
            if worker is not None:
                worker.close()

    def _fail(self, error: Exception, job: Job | None) -> None:
        self.lost = self.lost or PoolError(f"the pool of workers broke down: {error}")
        if job is not None:
            job.finish(None)
        self._give_up()

    def _give_up(self) -> None:
        """Nobody must wait for what will never come."""
        with suppress(queue.Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job.finish(None)
            self._jobs.put(None)  # It told another thread to stop.

    def _start_worker(self) -> Worker:
        ours, theirs = socket.socketpair()
        last_words = tempfile.TemporaryFile()  # noqa: SIM115 (the worker closes it)
        with theirs, self._lock:
            pid, _ = self._ask(nursery.START, 0, theirs.fileno(), last_words.fileno())
        return Worker(pid, Connection(ours.detach()), last_words)

    def _bury(self, worker: Worker) -> int:
        """Ends the worker and everything it started; how it ended, by itself perhaps."""
        with self._lock:
            _, status = self._ask(nursery.END, worker.pid)
        return os.waitstatus_to_exitcode(status)

    def _ask(self, kind: bytes, pid: int, *descriptors: int) -> tuple[int, int]:
        try:
            socket.send_fds(self._control, [nursery.COMMAND.pack(kind, pid)], descriptors)
            _, pid, status = nursery.ANSWER.unpack(exactly(self._control, nursery.ANSWER.size))
        except OSError as error:
            raise PoolError(f"the process that keeps the workers is gone: {error}") from error
        return pid, status


def _loaded(control: socket.socket, task: bytes) -> None:
    """Sends the task, with the surroundings that its functions expect, and waits until it is there."""
    setup = pickle.dumps(nursery.Setup(sys.path, dict(os.environ), str(Path.cwd()), task))
    try:
        control.sendall(nursery.COMMAND.pack(b"T", len(setup)) + setup)
        kind, length, _ = nursery.ANSWER.unpack(exactly(control, nursery.ANSWER.size))
    except OSError as error:
        raise PoolError(f"the process that keeps the workers did not start: {error}; see its output above") from error
    if kind == nursery.BROKEN:
        reason = exactly(control, length).decode()
        raise PoolError(f"a worker process can't load the work: {reason}. Its module must be importable there")


def exactly(source: socket.socket, size: int) -> bytes:
    """That many bytes, or a ConnectionError."""
    got = source.recv(size, socket.MSG_WAITALL)
    if len(got) < size:
        raise ConnectionError("it ended")
    return got


_SHARED: dict[Any, Pool] = {}
_SHARING = threading.Lock()


class Lease:
    """A share in a pool, until `end()` or until nobody holds it.

    All that do the same task in one process share one pool, or bundles side by side would each bring their own workers.
    The last one out ends it.
    """

    def __init__(self, task: bytes, workers: int, timeout: float | None) -> None:
        key = (os.getpid(), task, workers, timeout)
        with _SHARING:
            pool = _SHARED.get(key)
            if pool is None or pool.lost is not None:
                pool = _SHARED[key] = Pool(task, workers, timeout)
            pool.users += 1
        self.pool = pool
        self.end = weakref.finalize(self, _release, key, pool)


def _release(key: Any, pool: Pool) -> None:
    with _SHARING:
        pool.users -= 1
        if pool.users:
            return
        if _SHARED.get(key) is pool:
            del _SHARED[key]
    pool.stop()
