"""Pools of worker processes: what lives, what dies, what is left of it."""

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

from beam_patterns.transforms.work.pool import Lease, Pool, PoolError
from beam_patterns.transforms.work.task import Job, Task
from tests import ROOT, working
from tests.servers import wait_until

from . import killable

pytestmark = pytest.mark.usefixtures("spawner")


def always(_: BaseException) -> bool:
    """Every error is worth it."""
    return True


def task_of(work: Callable[[Any], Any]) -> bytes:
    """As WorkQueue makes it."""
    return cloudpickle.dumps(Task(work, None, always, 30))


class Client:
    """Submits items and waits for them."""

    def __init__(self, work: Callable[[Any], Any], workers: int = 1, timeout: float | None = 10) -> None:
        self.pool = Pool(task_of(work), workers, timeout)
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.stop()

    def submit(self, *items: Any) -> None:
        for item in items:
            self.pool.submit(Job(item, (0, None), self._done))

    def next(self) -> Any:
        """What came of an item: its results, or what went wrong."""
        outcome = self._done.get(timeout=60).outcome
        if outcome is None:
            return self.pool.lost
        return outcome.results if outcome.failure is None else outcome.failure

    def of(self, item: Any) -> Any:
        self.submit(item)
        return self.next()


def dies_later(seconds: float) -> int:
    """Leaves a thread that ends the process after the item is done."""
    threading.Timer(seconds, os._exit, (3,)).start()
    return os.getpid()


def test_a_worker_that_dies_between_items_harms_no_item() -> None:
    with Client(dies_later) as client:
        (first,) = client.of(0.05)
        wait_until(lambda: not os.path.exists(f"/proc/{first}/fd/0"), "the worker's end")  # noqa: PTH110
        second = client.of(3_600)
    assert second != [first]
    assert isinstance(second, list)


def dies_while_its_result_is_sent(size: int) -> bytes:
    """As the out-of-memory killer does it."""
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
    time.sleep(0.04)
    return bytes(size)


def test_a_worker_that_dies_while_it_sends_costs_only_its_item() -> None:
    with Client(dies_while_its_result_is_sent) as client:
        for _ in range(3):
            failure = client.of(400_000_000)
            assert failure.error_type == "WorkerCrashedError"
            assert failure.message.startswith("the worker process ended with SIGKILL (Killed, as the system does")


def test_a_crash_in_one_worker_leaves_the_others_alone() -> None:
    with Client(working.misbehaves_now_and_then, workers=2, timeout=4) as client:
        client.submit(*range(40))
        results = [client.next() for _ in range(40)]
    assert sorted(r[0] for r in results if isinstance(r, list)) == [n * 10 for n in range(40) if n % 10 != 3]


def forks(_: int) -> None:
    """A child that holds every file descriptor of the worker, and outlives it."""
    if os.fork() == 0:
        time.sleep(3_600)
    os._exit(5)


def test_a_crash_is_noticed_though_a_child_holds_the_connection_open() -> None:
    with Client(forks, timeout=None) as client:
        assert client.of(1).message == "the worker process ended with exit code 5"
    assert working.left_behind() == []


def detaches_and(order: tuple[str, str]) -> Any:
    """Starts a daemon, then does what it is told."""
    place, then = order
    daemon = working.detaches(place)
    if then == "crash":
        os._exit(7)
    while then == "hang" or (then == "wait" and not Path(f"{place}.go").exists()):
        time.sleep(0.01)
    return working.is_alive(daemon)


def test_a_daemon_ends_with_the_worker_that_crashed_and_no_other_workers_daemon_does(tmp_path: Path) -> None:
    daemons = [tmp_path / "patient", tmp_path / "crashing"]
    with Client(detaches_and, workers=2, timeout=None) as client:
        client.submit((str(daemons[0]), "wait"))
        wait_until(daemons[0].exists, "the first daemon")
        assert client.of((str(daemons[1]), "crash")).message == "the worker process ended with exit code 7"
        assert [working.is_alive(daemon) for daemon in daemons] == [True, False]
        Path(f"{daemons[0]}.go").touch()
        assert client.next() == [True]
    wait_until(lambda: not working.is_alive(daemons[0]), "the daemon's end")


def test_a_daemon_ends_with_the_worker_that_took_too_long(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    with Client(detaches_and, timeout=2) as client:
        while not daemon.exists():  # On a machine that is slow for the moment the item may never come so far.
            assert client.of((str(daemon), "hang")).error_type == "TimeoutError"
        assert not working.is_alive(daemon)


def test_a_daemon_ends_when_the_whole_pool_is_killed(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    with Client(detaches_and, timeout=None) as client:
        client.submit((str(daemon), "hang"))
        wait_until(daemon.exists, "the daemon")
        (nursery,) = children_of(client)
        os.kill(nursery, signal.SIGKILL)
        assert "the pool of workers broke down" in str(client.next())
    wait_until(lambda: not working.is_alive(daemon), "the daemon's end")


def test_those_that_end_by_themselves_are_buried(tmp_path: Path) -> None:
    with Client(detaches_and, timeout=None) as client:
        for number in range(3):
            daemon = tmp_path / str(number)
            assert client.of((str(daemon), "return")) == [True]
            pid = daemon.read_text()
            os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda: not Path("/proc", pid).exists(), "its burial")  # noqa: B023


def temporary_files(_: int) -> str:
    """Leaves a file behind and dies of it."""
    _, path = tempfile.mkstemp()
    subprocess.run(["sh", "-c", 'touch "$TMPDIR/of-a-child"'], check=True)
    Path(tempfile.gettempdir(), "note").write_text(path)
    return tempfile.gettempdir()


def test_temporary_files_of_items_go_with_their_worker() -> None:
    with Client(temporary_files) as client:
        (folder,) = client.of(1)
        assert len(list(Path(folder).iterdir())) == 3
    assert not Path(folder).parent.exists()


def environment(name: str) -> str | None:
    """What the worker sees."""
    return os.environ.get(name)


def test_workers_see_the_environment_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("OF_THE_MOMENT", value)
        with Client(environment) as client:
            assert client.of("OF_THE_MOMENT") == [value]


def big(size: int) -> bytes:
    """Larger than any pipe."""
    return b"x" * size


def test_large_items_and_results_pass() -> None:
    with Client(len) as lengths, Client(big) as results:
        assert lengths.of(b"x" * 50_000_000) == [50_000_000]
        assert results.of(50_000_000) == [b"x" * 50_000_000]


def test_work_that_cannot_be_loaded_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone_soon.py").write_text("def work(item): return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_soon  # type: ignore[import-not-found]

    task = task_of(gone_soon.work)
    (tmp_path / "gone_soon.py").unlink()
    with pytest.raises(PoolError, match=r"can't load the work: ModuleNotFoundError: No module named 'gone_soon'"):
        Pool(task, 1, None)


def test_a_pool_that_lost_its_processes_says_so_and_nobody_waits_for_ever() -> None:
    with Client(working.hangs, timeout=None) as client:
        client.submit(1, 2, 3)
        (nursery,) = children_of(client)
        os.kill(nursery, signal.SIGKILL)
        for _ in range(3):
            assert "the pool of workers broke down" in str(client.next())
        with pytest.raises(PoolError):
            client.submit(4)
    assert working.left_behind() == []


def children_of(client: Client) -> list[int]:
    """The nurseries."""
    spawner = client.pool._spawner._process.pid
    return [int(pid) for pid in Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()]


def test_those_who_do_the_same_share_a_pool_and_the_last_one_ends_it() -> None:
    task = task_of(working.times_ten)
    first, second, other = Lease(task, 1, None), Lease(task, 1, None), Lease(task, 2, None)
    assert first.pool is second.pool
    assert first.pool is not other.pool
    first.end()
    done: queue.SimpleQueue[Job] = queue.SimpleQueue()
    second.pool.submit(Job(4, (0, None), done))
    assert done.get(timeout=60).outcome.results == [40]  # type: ignore[union-attr]
    second.end()
    other.end()
    assert working.left_behind() == []


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts the run that is to be killed."""
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


@pytest.mark.integration
def test_ten_times_killed_then_run_to_the_end(run: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    dice = random.Random(4)
    for _ in range(10):
        process, before = run(), len(log.read_text().splitlines())
        wait_until(lambda: len(log.read_text().splitlines()) > before, "the run's first item")  # noqa: B023
        time.sleep(dice.uniform(0, 0.15))
        process.kill()
        process.wait()
        wait_until(lambda: not working.left_behind(), "the end of its workers", 10)
    assert run().wait() == 0
    assert working.left_behind() == []
    outputs = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name.isdigit()}
    assert outputs == {str(n): killable.CONTENT for n in range(killable.ITEMS)}
    said = Counter(line.split()[0] for line in log.read_text().splitlines())
    done = Counter(line for line in log.read_text().splitlines() if line.startswith("done"))
    assert max(done.values()) == 1
    assert killable.ITEMS <= said["start"] <= killable.ITEMS + 10 * 2


@pytest.mark.integration
def test_memory_does_not_grow_with_the_number_of_items() -> None:
    few, many = (peak_of(count) for count in (20_000, 200_000))
    assert many - few < 100


def peak_of(items: int) -> float:
    """MB."""
    command = [sys.executable, "-m", "tests.transforms.work.tiny", str(items)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said, peak = run.stdout.split()
    assert int(said) == items
    return float(peak)
