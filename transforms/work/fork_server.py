"""The process that nurseries come from: one per Beam worker, while it has pools.

Importing Beam takes a second of CPU. This process does it once, in a fresh interpreter with a single thread, and forks
a nursery for each pool that the Beam worker asks for. It never loads user code.
"""

import os
import signal
import socket
import subprocess
import sys
import threading

from . import pool_supervisor as nursery

__all__ = ["Spawner", "main"]

_START = """
import logging, sys
sys.path[:] = sys.argv[2:]
logging.basicConfig(level=logging.ERROR)  # What Beam says when it is imported is known from the Beam worker.
from {module} import main
main(int(sys.argv[1]))
"""


class Spawner:
    """The process, seen from the Beam worker: shared by its pools."""

    _one: "Spawner | None" = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._owner, self._users = os.getpid(), 0
        self._control, theirs = socket.socketpair()
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
    def taken(cls) -> "Spawner":
        """The one of this process; give it back with `release`."""
        with cls._lock:
            one = cls._one
            if one is None or one._owner != os.getpid() or one._process.poll() is not None:
                one = cls._one = cls()
            one._users += 1
            return one

    def release(self) -> None:
        """The last one out ends it."""
        with self._lock:
            self._users -= 1
            if self._users or self._owner != os.getpid():
                return
            if Spawner._one is self:
                Spawner._one = None
        self._control.close()
        self._process.wait()

    def nursery(self) -> socket.socket:
        """The control connection of a new nursery."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            socket.send_fds(self._control, [b"n"], [theirs.fileno()])
        return ours


def main(descriptor: int) -> None:
    """Forks nurseries until the Beam worker is gone."""
    control = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The system buries them.
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            nursery.main(descriptors[0])
        os.close(descriptors[0])
