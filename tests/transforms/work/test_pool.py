"""Pools of worker processes: crashes, timeouts, daemons, and what remains of them."""

import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import cloudpickle

from beam_patterns.transforms.work.pool import Pool, PoolError, PoolReference
from beam_patterns.transforms.work.task import Job, Task
from tests import ROOT, working
from tests.servers import wait_until

from . import killable

pytestmark = pytest.mark.usefixtures("fork_server")


def always(_: BaseException) -> bool:
    """Every error is worth a retry."""
    return True


def task_of(work: Callable[[Any], Any]) -> bytes:
    """A pickled task, as WorkQueue makes it."""
    return cloudpickle.dumps(Task(work, None, always, 30))


class Client:
    """Submits items and waits for them."""

    def __init__(self, work: Callable[[Any], Any], workers: int = 1, timeout: float | None = 10) -> None:
        self.pool = Pool(task_of(work), workers, timeout)
        self._finished: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.stop()

    def submit(self, *items: Any) -> None:
        for item in items:
            self.pool.submit(Job(item, 0, None, self._finished))

    def next(self) -> Any:
        """The results or the failure of the next finished item, or the pool's error."""
        outcome = self._finished.get(timeout=60).outcome
        if outcome is None:
            return self.pool.error
        return outcome.results if outcome.failure is None else outcome.failure

    def of(self, item: Any) -> Any:
        """The results or the failure of this item."""
        self.submit(item)
        return self.next()


def dies_later(seconds: float) -> int:
    """Leaves a thread running that ends the process after the item is done."""
    threading.Timer(seconds, os._exit, (3,)).start()
    return os.getpid()


def test_no_item_fails_because_a_worker_died_between_items() -> None:
    with Client(dies_later) as client:
        (first,) = client.of(0.05)
        wait_until(lambda: not os.path.exists(f"/proc/{first}/fd/0"), "the worker's end")  # noqa: PTH110
        second = client.of(3_600)
    assert second != [first]
    assert isinstance(second, list)


def dies_while_its_result_is_sent(size: int) -> bytes:
    """Is killed like a process that used too much memory."""
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
    time.sleep(0.04)
    return bytes(size)


@pytest.mark.integration
def test_a_worker_that_dies_while_it_sends_fails_only_its_item() -> None:
    with Client(dies_while_its_result_is_sent) as client:
        for _ in range(3):
            failure = client.of(400_000_000)
            assert failure.error_type == "WorkerCrashedError"
            assert failure.message.startswith("the worker process ended with SIGKILL (Killed, which the kernel sends")


def gets_signal(number: int) -> None:
    """Sends itself a signal that ends the process."""
    os.kill(os.getpid(), number)


def test_a_crash_by_a_signal_without_a_name_is_a_failure_of_its_item() -> None:
    with Client(gets_signal) as client:
        assert client.of(36).message == "the worker process ended with signal 36 (Real-time signal 2)"


def test_a_crash_in_one_worker_does_not_affect_the_others() -> None:
    with Client(working.sometimes_misbehaves, workers=2, timeout=4) as client:
        client.submit(*range(40))
        results = [client.next() for _ in range(40)]
    assert sorted(r[0] for r in results if isinstance(r, list)) == [n * 10 for n in range(40) if n % 10 != 3]


def forks(_: int) -> None:
    """Crashes, and leaves a child that holds every file descriptor of the worker."""
    if os.fork() == 0:
        time.sleep(3_600)
    os._exit(5)


def test_a_crash_is_detected_while_a_child_holds_the_connection_open() -> None:
    with Client(forks, timeout=None) as client:
        assert client.of(1).message == "the worker process ended with exit code 5"
    assert working.leftover_processes() == []


def starts_daemon_then(order: tuple[str, str]) -> Any:
    """Starts a daemon, then crashes, hangs, waits or returns."""
    pid_file, then = order
    daemon = working.start_daemon(pid_file)
    if then == "crash":
        os._exit(7)
    while then == "hang" or (then == "wait" and not Path(f"{pid_file}.go").exists()):
        time.sleep(0.01)
    return working.is_alive(daemon)


def test_a_crash_ends_the_daemons_of_its_worker_and_no_others(tmp_path: Path) -> None:
    daemons = [tmp_path / "patient", tmp_path / "crashing"]
    with Client(starts_daemon_then, workers=2, timeout=None) as client:
        client.submit((str(daemons[0]), "wait"))
        wait_until(daemons[0].exists, "the first daemon")
        assert client.of((str(daemons[1]), "crash")).message == "the worker process ended with exit code 7"
        assert [working.is_alive(daemon) for daemon in daemons] == [True, False]
        Path(f"{daemons[0]}.go").touch()
        assert client.next() == [True]
    wait_until(lambda: not working.is_alive(daemons[0]), "the daemon's end")


@pytest.mark.integration
def test_a_timeout_ends_the_daemons_of_its_worker(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    with Client(starts_daemon_then, timeout=2) as client:
        while not daemon.exists():  # On a slow machine, an attempt may end before it has started the daemon.
            assert client.of((str(daemon), "hang")).error_type == "TimeoutError"
        assert not working.is_alive(daemon)


def test_daemons_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    with Client(starts_daemon_then, timeout=None) as client:
        client.submit((str(daemon), "hang"))
        wait_until(daemon.exists, "the daemon")
        (supervisor,) = supervisors(client)
        os.kill(supervisor, signal.SIGKILL)
        assert "the pool of worker processes failed" in str(client.next())
    wait_until(lambda: not working.is_alive(daemon), "the daemon's end")


def test_daemons_that_end_by_themselves_are_reaped(tmp_path: Path) -> None:
    with Client(starts_daemon_then, timeout=None) as client:
        for number in range(3):
            daemon = tmp_path / str(number)
            assert client.of((str(daemon), "return")) == [True]
            pid = daemon.read_text()
            os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda: not Path("/proc", pid).exists(), "the end of the zombie")  # noqa: B023


def temporary_files(_: int) -> str:
    """Leaves temporary files of its own and of a child."""
    _, path = tempfile.mkstemp()
    subprocess.run(["sh", "-c", 'touch "$TMPDIR/of-a-child"'], check=True)
    Path(tempfile.gettempdir(), "note").write_text(path)
    return tempfile.gettempdir()


def test_temporary_files_of_items_are_removed_with_their_worker() -> None:
    with Client(temporary_files) as client:
        (folder,) = client.of(1)
        assert len(list(Path(folder).iterdir())) == 3
    assert not Path(folder).parent.exists()


def environment(name: str) -> str | None:
    """The value of a variable in the worker process."""
    return os.environ.get(name)


def test_workers_have_the_environment_of_their_pools_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("CHANGING", value)
        with Client(environment) as client:
            assert client.of("CHANGING") == [value]


def big(size: int) -> bytes:
    """A result that is larger than the buffer of any pipe."""
    return b"x" * size


@pytest.mark.integration
def test_items_and_results_may_be_large() -> None:
    with Client(len) as lengths, Client(big) as results:
        assert lengths.of(b"x" * 50_000_000) == [50_000_000]
        assert results.of(50_000_000) == [b"x" * 50_000_000]


def test_work_that_cannot_be_loaded_fails_the_pool_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone_soon.py").write_text("def work(item): return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_soon  # type: ignore[import-not-found]

    task = task_of(gone_soon.work)
    (tmp_path / "gone_soon.py").unlink()
    with pytest.raises(PoolError, match=r"can't load the work: ModuleNotFoundError: No module named 'gone_soon'"):
        Pool(task, 1, None)


def test_jobs_of_a_pool_that_lost_its_supervisor_finish_with_an_error() -> None:
    with Client(working.hangs, timeout=None) as client:
        client.submit(1, 2, 3)
        (supervisor,) = supervisors(client)
        os.kill(supervisor, signal.SIGKILL)
        for _ in range(3):
            assert "the pool of worker processes failed" in str(client.next())
        with pytest.raises(PoolError):
            client.submit(4)
    assert working.leftover_processes() == []


def supervisors(client: Client) -> list[int]:
    """The children of the fork server."""
    server = client.pool._fork_server._process.pid
    return [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]


def test_references_to_one_task_share_a_pool_which_ends_with_the_last_one() -> None:
    task = task_of(working.times_ten)
    first, second, other = PoolReference(task, 1, None), PoolReference(task, 1, None), PoolReference(task, 2, None)
    assert first.pool is second.pool
    assert first.pool is not other.pool
    first.release()
    finished: queue.SimpleQueue[Job] = queue.SimpleQueue()
    second.pool.submit(Job(4, 0, None, finished))
    assert finished.get(timeout=60).outcome.results == [40]  # type: ignore[union-attr]
    second.release()
    other.release()
    assert working.leftover_processes() == []


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts runs, which the test kills."""
    started = []

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.transforms.work.killable", str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.soak
@pytest.mark.integration
def test_a_run_that_is_killed_again_and_again_does_each_item_once(
    run: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()
    dice = random.Random(4)
    for _ in range(killable.KILLS):
        process, before = run(), len(log.read_text().splitlines())
        wait_until(lambda: len(log.read_text().splitlines()) > before, "the run's first item")  # noqa: B023
        time.sleep(dice.uniform(0, 0.15))
        process.kill()
        process.wait()
        wait_until(lambda: not working.leftover_processes(), "the end of its workers", 10)
    assert run().wait() == 0
    assert working.leftover_processes() == []
    outputs = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name.isdigit()}
    assert outputs == {str(n): killable.CONTENT for n in range(killable.ITEMS)}
    events = Counter(line.split()[0] for line in log.read_text().splitlines())
    done = Counter(line for line in log.read_text().splitlines() if line.startswith("done"))
    assert max(done.values()) == 1
    assert killable.ITEMS <= events["start"] <= killable.ITEMS + killable.KILLS * 2


@pytest.mark.integration
def test_memory_does_not_grow_with_the_number_of_items() -> None:
    few, many = (peak_of(count) for count in (20_000, 200_000))
    assert many - few < 100


def peak_of(items: int) -> float:
    """The peak of a run's memory, in MB."""
    command = [sys.executable, "-m", "tests.transforms.work.tiny", str(items)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    count, peak = run.stdout.split()
    assert int(count) == items
    return float(peak)
