"""Functions for work queues that succeed or misbehave, and a search for the processes that they leave running."""

import ctypes
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from apache_beam.metrics import Metrics

from beam_patterns.transforms.queues import Message
from beam_patterns.transforms.work import fork_server

#: In the environment of every process that this test run starts.
_RUN = "BEAM_PATTERNS_TEST_RUN"
os.environ.setdefault(_RUN, str(os.getpid()))


def times_ten(number: int) -> int:
    """Succeeds."""
    return number * 10


def process_id(_: int) -> int:
    """Returns the id of the process that works on the item."""
    return os.getpid()


def letters(word: str) -> Iterator[str]:
    """Yields several results."""
    yield from word


def words(message: Message) -> Iterator[Message]:
    """Yields several messages from one."""
    for word in (message.value or b"").split():
        yield Message(word)


def counted_and_logged(number: int) -> int:
    """Updates metrics of its own and logs."""
    Metrics.counter("mine", "items").inc(2)
    Metrics.distribution("mine", "numbers").update(number)
    logging.getLogger("mine").warning("number %d", number)
    return number


def refuses(number: int) -> int:
    """Always raises an error."""
    raise ValueError(f"not {number}")


def quits(_: int) -> int:
    """Ends the process, as os._exit in a library does."""
    os._exit(7)


def segfaults(_: int) -> int:
    """Reads at address 0."""
    return len(ctypes.string_at(0))


def eats_memory(_: int) -> int:
    """Allocates more than its limit, which stands for the machine's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[0], resource.RLIM_INFINITY))
    with limited_memory(1 << 30):
        return len(bytearray(8 << 30))


class limited_memory:  # noqa: N801 (a context manager)
    """Limits the memory of the process to what it has now and this number of bytes more."""

    def __init__(self, more: int) -> None:
        self._more = more

    def __enter__(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + self._more, resource.RLIM_INFINITY))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def hangs(_: int) -> int:
    """Sleeps longer than any test."""
    time.sleep(3_600)
    return 0


def hangs_in_c(_: int) -> int:
    """Sleeps with the interpreter's lock: no thread and no signal handler of the process runs."""
    return ctypes.PyDLL(None).sleep(3_600)


def leaves_children(number: int) -> int:
    """Starts a child with a child, one in its own session and a daemon, which all ignore SIGTERM; then hangs."""
    marked = {**os.environ, "BEAM_PATTERNS_TEST_CHILD": "1"}
    sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
    subprocess.Popen([sys.executable, "-S", "-c", nested], env=marked)
    subprocess.Popen([sys.executable, "-S", "-c", sleeper], env=marked, start_new_session=True)
    daemon = f"import os; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); {sleeper}"
    subprocess.run([sys.executable, "-S", "-c", daemon], env=marked)
    time.sleep(0.2)
    return hangs(number)


def start_daemon(pid_file: str) -> Path:
    """Starts a daemon: two forks, a session and an environment of its own. It writes its process id to the file."""
    new = f"{pid_file}.new"
    code = f"import os, time; open('{new}', 'w').write(str(os.getpid())); os.rename('{new}', '{pid_file}')"
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-S", "-c", f"{code}; time.sleep(3600)"], {})
        os._exit(0)
    os.waitpid(child, 0)
    while not Path(pid_file).exists():
        time.sleep(0.01)
    return Path(pid_file)


def is_alive(pid_file: Path) -> bool:
    """Whether the daemon with this file runs."""
    try:
        return str(pid_file).encode() in Path("/proc", pid_file.read_text(), "cmdline").read_bytes()
    except OSError:
        return False


MISBEHAVIOURS = (refuses, quits, segfaults, eats_memory, hangs, hangs_in_c, leaves_children)


def sometimes_misbehaves(number: int) -> int:
    """Misbehaves on every tenth item, each time in another way."""
    if number % 10 == 3:
        return MISBEHAVIOURS[number // 10 % len(MISBEHAVIOURS)](number)
    return times_ten(number)


def fails_twice(path: str) -> int:
    """Succeeds on the third attempt. It counts in a file, because attempts share nothing else."""
    with Path(path).open("a") as attempts:
        attempts.write(".")
    count = len(Path(path).read_text())
    if count < 3:
        raise ConnectionError(f"attempt {count}")
    return count


def leftover_processes() -> list[str]:
    """The command lines of running processes that pools of this test run have started, except the fork server."""
    shared = fork_server.ForkServer._shared
    kept = {os.getpid(), shared._process.pid if shared is not None else 0}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        ours = f"{_RUN}={os.environ[_RUN]}".encode() in environment and int(folder.name) not in kept
        started = f"from {fork_server.__name__} import main" in line or b"BEAM_PATTERNS_TEST_CHILD=1" in environment
        if ours and started:
            found.append(f"{folder.name}: {line[:200]}")
    return found
