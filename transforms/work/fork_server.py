"""The fork server: one process per Beam worker, which forks the supervisors of all its pools.

Importing Beam takes a second of CPU. The fork server imports it once, in a fresh interpreter with a single thread, and
forks a supervisor for each pool that the Beam worker creates. It never loads user code.
"""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import NoReturn

from . import pool_supervisor

__all__ = ["ForkServer", "main"]

_START = """
import logging, sys
sys.path[:] = sys.argv[2:]
logging.basicConfig(level=logging.ERROR)  # The Beam worker has logged the warnings of Beam's import already.
from {module} import main
main(int(sys.argv[1]))
"""


class ForkServer:
    """The Beam worker's handle of its fork server, which all its pools share."""

    _shared: "ForkServer | None" = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._owner, self._users = os.getpid(), 0
        self._control, theirs = Pipe()
        with theirs:
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
            code = _START.format(module=__name__)
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, *flags, "-c", code, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @classmethod
    def acquire(cls) -> "ForkServer":
        """The fork server of this process, started if there is none. Call `release` when it is not needed any more."""
        with cls._lock:
            shared = cls._shared
            if shared is None or shared._owner != os.getpid() or shared._process.poll() is not None:
                shared = cls._shared = cls()
            shared._users += 1
            return shared

    def release(self) -> None:
        """Ends the process after its last user has released it."""
        with self._lock:
            self._users -= 1
            if self._users or self._owner != os.getpid():
                return
            if ForkServer._shared is self:
                ForkServer._shared = None
        self._control.close()
        self._process.wait()

    def fork_supervisor(self) -> Connection:
        """Forks a pool supervisor; returns the control connection to it."""
        ours, theirs = Pipe()
        with theirs, self._lock:
            send_handle(self._control, theirs.fileno(), 0)
        return ours


def main(descriptor: int) -> NoReturn:
    """Forks pool supervisors until the Beam worker is gone."""
    control = Connection(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel reaps them.
    while True:
        try:
            connection = recv_handle(control)
        except (EOFError, OSError):
            os._exit(0)
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            pool_supervisor.main(connection)
        os.close(connection)
