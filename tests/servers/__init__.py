"""Real servers for the tests: each on a free port of 127.0.0.1, ended by its pid."""

import fcntl
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

#: Where downloads and builds are kept between runs.
CACHE = Path(os.environ.get("BEAM_PATTERNS_SERVERS", Path.home() / ".cache" / "beam-patterns"))


def free_port() -> int:
    """A free port outside of the range from which the system takes ports for connections.

    A client that keeps connecting to a stopped server would sooner or later get that very port for its own end: it
    would connect to itself, and the server could not start again.
    """
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def need(tool: str) -> str:
    """The path of a program that a server needs.

    Without it the test is skipped with that reason; with CI set it fails, because a skipped component is untested.
    """
    found = shutil.which(tool)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {tool}, which is not on this machine")
    return found


def once(folder: Path, build: Callable[[], object]) -> None:
    """Builds the content of a folder of the cache once; concurrent processes wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            build()
            (folder / "complete").touch()


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Polls a condition until it is true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether a server accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def dies_with_parent(command: list[str]) -> list[str]:
    """The command, changed to end when the tests are killed (on Linux).

    The process sets that itself before it becomes the server. A `preexec_fn` would need a real fork, and in a process
    that has used gRPC that fork can die in gRPC's own handlers before the server starts.
    """
    if sys.platform != "linux":
        return command
    become = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-S", "-E", "-c", become, *command]  # 1 is PR_SET_PDEATHSIG, 9 is SIGKILL.
