"""A real Flink cluster: a JobManager, TaskManagers, Beam's job server and a pool of Python workers, each a process.

Beam's fat job-server jars and runners newer than 2.70 are not in every registry; the parts in flink-pom.xml together
run pipelines of newer Python SDKs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import CACHE, dies_with_parent, free_port, listens, need, once, wait_until

_POM = Path(__file__).with_name("flink-pom.xml")
_FLINK = "1.19.3"
_MAIN = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_OPENED = [f"java.base/java.{name}" for name in ("lang", "util", "nio", "time")]
#: Flink notices a killed TaskManager by its broken connection; the long timeouts are for a busy machine.
_CONFIG = """
rest.port: {rest}
rest.bind-address: 127.0.0.1
rest.address: 127.0.0.1
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
jobmanager.memory.process.size: 1024m
jobmanager.execution.failover-strategy: region
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.memory.process.size: 1700m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.managed.size: 128m
taskmanager.numberOfTaskSlots: {slots}
heartbeat.interval: 2000
heartbeat.timeout: 60000
pekko.ask.timeout: 60 s
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 20
restart-strategy.fixed-delay.delay: 2 s
state.backend.type: hashmap
state.checkpoints.dir: file://{folder}/checkpoints
state.savepoints.dir: file://{folder}/savepoints
env.java.opts.all: -XX:TieredStopAtLevel=1 -XX:+UseSerialGC {opens}
classloader.resolve-order: parent-first
"""
#: The jars of the job server that are Flink's client, or that must see it.
_CLIENT = ("flink-", "beam-runners-flink")


class Cluster:
    """A running cluster: flags for a pipeline, and its TaskManagers to kill."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.rest, self.job, self._artifacts, self.workers = (free_port() for _ in range(4))
        self.folder, self._stack = folder, stack
        self.task_managers: list[subprocess.Popen[bytes]] = []

    @property
    def flags(self) -> list[str]:
        """The options that send a pipeline to this cluster."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.job}",
            f"--artifact_endpoint=localhost:{self._artifacts}",
            *self._workers,
        ]

    @property
    def runner_flags(self) -> list[str]:
        """The same with a job server that the run starts for its own use."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master=localhost:{self.rest}",
            f"--flink_job_server_jar={job_server()}",
            *self._workers,
        ]

    @property
    def _workers(self) -> list[str]:
        return ["--environment_type=EXTERNAL", f"--environment_config=localhost:{self.workers}", "--parallelism=2"]

    def ask(self, path: str, method: str | None = None, **body: Any) -> Any:
        """Calls Flink's REST API."""
        data = json.dumps(body).encode() if body else None
        url = f"http://127.0.0.1:{self.rest}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def running_job(self) -> str:
        """The id of the running job, waiting for it to run."""
        wait_until(lambda: bool(self._jobs("RUNNING")), "a running job")
        (job,) = self._jobs("RUNNING")
        return job

    def describe(self) -> Iterator[str]:
        """A line for each job: its state, its checkpoints, and the exceptions that restarted it."""
        for job in self._jobs():
            checkpoints, exceptions = self.ask(f"/jobs/{job}/checkpoints"), self.ask(f"/jobs/{job}/exceptions")
            restarts = [entry["stacktrace"].partition("\n")[0] for entry in exceptions["exceptionHistory"]["entries"]]
            yield f"{self.ask(f'/jobs/{job}')['state']} {checkpoints['counts']} {restarts}"

    def cancel(self) -> None:
        """Cancels all jobs."""
        for job in self._jobs():
            self.ask(f"/jobs/{job}", "PATCH")
        wait_until(lambda: not self._jobs(), "the end of all jobs")

    def _jobs(self, *states: str) -> list[str]:
        over = ("FINISHED", "FAILED", "CANCELED")
        jobs = self.ask("/jobs")["jobs"]
        return [job["id"] for job in jobs if (job["status"] in states if states else job["status"] not in over)]

    def start(self, task_managers: int, slots: int) -> None:
        """Starts all processes; returns when the cluster accepts jobs."""
        self._configure(slots)
        ports = [f"--job-port={self.job}", f"--artifact-port={self._artifacts}", "--expansion-port=0"]
        self._popen(["bin/jobmanager.sh", "start-foreground"], "jobmanager")
        for _ in range(task_managers):
            self.add_task_manager()
        self._popen([*_job_server_command(), f"--flink-master=localhost:{self.rest}", *ports], "job-server")
        pool = [sys.executable, "-m", "tests.servers.worker_pool", f"--service_port={self.workers}"]
        self._popen(pool, "worker-pool")
        for port, what in ((self.rest, "Flink"), (self.job, "Beam's job server"), (self.workers, "the worker pool")):
            wait_until(lambda port=port: listens(port), f"{what} (logs in {self.folder})")
        wait_until(self.answers, f"Flink's TaskManagers (logs in {self.folder})", 120)

    def answers(self) -> bool:
        """Whether Flink answers, with all TaskManagers that run: one JobManager was seen that only listened."""
        running = sum(each.poll() is None for each in self.task_managers)
        try:
            return self.ask("/overview")["taskmanagers"] >= running
        except OSError:
            return False

    def add_task_manager(self) -> None:
        """Starts a TaskManager, for instance to replace a killed one."""
        self.task_managers.append(self._popen(["bin/taskmanager.sh", "start-foreground"], "taskmanager"))

    def _configure(self, slots: int) -> None:
        home = flink_home()
        conf = self.folder / "conf"
        shutil.copytree(home / "conf", conf)
        stock = (conf / "config.yaml").read_text().splitlines()
        (opens,) = [line.strip().removeprefix("all: ") for line in stock if line.strip().startswith("all: --add")]
        text = _CONFIG.format(rest=self.rest, rpc=free_port(), slots=slots, folder=self.folder, opens=opens)
        (conf / "config.yaml").write_text(text)
        (self.folder / "lib").mkdir()
        for jar in _cluster_jars():
            (self.folder / "lib" / jar.name).symlink_to(jar)

    def _popen(self, command: list[object], name: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            # The pool starts plain `python`: with another one first on the path a job would hang without a message.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent.parent.parent),
            "FLINK_CONF_DIR": str(self.folder / "conf"),
            "FLINK_LIB_DIR": str(self.folder / "lib"),
            "FLINK_LOG_DIR": str(self.folder / "log"),
            "FLINK_PID_DIR": str(self.folder),
        }
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            dies_with_parent([str(part) for part in command]),
            env=environment,
            cwd=flink_home(),
            stdout=log,
            stderr=log,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


def flink_home() -> Path:
    """Flink's distribution, from PyPI."""
    folder = CACHE / f"flink-{_FLINK}"
    packages = [f"apache-flink=={_FLINK}", f"apache-flink-libraries=={_FLINK}"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
    once(folder, lambda: subprocess.run(pip, check=True, capture_output=True))
    return folder / "pyflink"


def job_server() -> Path:
    """Beam's job server for Flink, in parts: a jar that names them, for `java -jar` and --flink_job_server_jar."""
    folder = CACHE / "flink-job-server-2.70.0"
    once(folder, lambda: _build_job_server(folder))
    return folder / "job-server.jar"


def _build_job_server(folder: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'libs'}", "-DincludeScope=runtime"]
    subprocess.run([need("mvn"), "-q", "-B", "-f", _POM, *goal], check=True, capture_output=True)
    manifest = {
        "Manifest-Version": "1.0",
        "Main-Class": _MAIN,
        "Add-Opens": " ".join(_OPENED),
        "Class-Path": " ".join(f"libs/{jar.name}" for jar in sorted((folder / "libs").glob("*.jar"))),
    }
    # A line has at most 72 bytes and continues in the next one after a space.
    lines = (re.sub("(.{70})(?=.)", r"\1\n ", f"{name}: {value}") for name, value in manifest.items())
    with zipfile.ZipFile(folder / "job-server.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "".join(f"{line}\n" for line in lines))


def _cluster_jars() -> Iterator[Path]:
    """The jars of the cluster, with Beam: loading Beam for each job would take most of the time of a small job."""
    yield from (jar for jar in (flink_home() / "lib").glob("*.jar") if jar.name.startswith(("flink-dist", "log4j")))
    yield from (jar for jar in _job_server_jars() if not jar.name.startswith(("flink-", "slf4j-simple")))


def _job_server_command() -> list[object]:
    """Like `java -jar` of `job_server()`, but jobs do not send the jars on the boot class path to the cluster."""
    jars = _job_server_jars()
    client = [jar for jar in jars if jar.name.startswith(_CLIENT)]
    boot = ":".join(str(jar) for jar in jars if jar not in client)
    opens = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
    return [
        need("java"),
        "-Xmx512m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        *opens,
        f"-Xbootclasspath/a:{boot}",
        "-cp",
        ":".join(map(str, client)),
        _MAIN,
    ]


def _job_server_jars() -> list[Path]:
    return sorted((job_server().parent / "libs").glob("*.jar"))


@contextmanager
def running(task_managers: int = 2, slots: int = 2) -> Iterator[Cluster]:
    """A cluster that ends with all its processes; a start that fails is repeated twice."""
    with TemporaryDirectory(prefix="flink-") as folder, ExitStack() as stack:
        for chance in range(1, 4):
            home, processes = Path(folder) / str(chance), ExitStack()
            home.mkdir()
            cluster = Cluster(home, processes)
            try:
                cluster.start(task_managers, slots)
            except TimeoutError:
                processes.close()
                if chance == 3:
                    raise
                continue
            stack.enter_context(processes)
            break
        yield cluster


class Shared:
    """One cluster for many tests, replaced when it no longer answers."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._stack = ExitStack()

    def cluster(self) -> Cluster:
        """The running cluster."""
        if self._cluster is None or not self._cluster.answers():
            self.close()
            self._cluster = self._stack.enter_context(running())
        return self._cluster

    def close(self) -> None:
        """Ends the cluster."""
        self._stack.close()
        self._cluster = None
