"""A real Flink cluster: a JobManager, TaskManagers, Beam's job server and a pool of Python workers, each a process.

Beam's fat job-server jars and runners newer than 2.70 are not in the registries this was made with; the parts in
flink-pom.xml together run pipelines of newer Python SDKs.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from . import CACHE, free_port, listens, need, once, wait_until

_POM = Path(__file__).with_name("flink-pom.xml")
_FLINK = "1.19.3"
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
heartbeat.timeout: 10000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 20
restart-strategy.fixed-delay.delay: 2 s
state.backend.type: hashmap
state.checkpoints.dir: file://{folder}/checkpoints
state.savepoints.dir: file://{folder}/savepoints
env.java.opts.all: {opens}
"""


class Cluster:
    """A running cluster: flags for a pipeline, and its TaskManagers to kill."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.rest, self.job, self._artifacts, self.workers = (free_port() for _ in range(4))
        self._folder, self._stack = folder, stack
        self.task_managers: list[subprocess.Popen[bytes]] = []

    @property
    def flags(self) -> list[str]:
        """What sends a pipeline here."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.job}",
            f"--artifact_endpoint=localhost:{self._artifacts}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self.workers}",
            "--parallelism=2",
        ]

    def start(self, task_managers: int, slots: int) -> None:
        """Returns when jobs are accepted."""
        self._configure(slots)
        self._popen(["bin/jobmanager.sh", "start-foreground"], "jobmanager")
        for _ in range(task_managers):
            self.add_task_manager()
        ports = [f"--job-port={self.job}", f"--artifact-port={self._artifacts}", "--expansion-port=0"]
        master = f"--flink-master=localhost:{self.rest}"
        self._popen([need("java"), "-Xmx512m", "-jar", job_server(), master, *ports], "job-server")
        pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={self.workers}"]
        self._popen(pool, "worker-pool")
        for port, what in ((self.rest, "Flink"), (self.job, "Beam's job server"), (self.workers, "the worker pool")):
            wait_until(lambda port=port: listens(port), f"{what} (logs in {self._folder})")

    def add_task_manager(self) -> None:
        """One more, such as in place of one that was killed."""
        self.task_managers.append(self._popen(["bin/taskmanager.sh", "start-foreground"], "taskmanager"))

    def _configure(self, slots: int) -> None:
        home = flink_home()
        conf = self._folder / "conf"
        shutil.copytree(home / "conf", conf)
        stock = (conf / "config.yaml").read_text().splitlines()
        (opens,) = [line.strip().removeprefix("all: ") for line in stock if line.strip().startswith("all: --add")]
        text = _CONFIG.format(rest=self.rest, rpc=free_port(), slots=slots, folder=self._folder, opens=opens)
        (conf / "config.yaml").write_text(text)

    def _popen(self, command: list[object], name: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            # The pool starts plain `python`: with another one first on the path a job would hang without a word.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent.parent.parent),
            "FLINK_CONF_DIR": str(self._folder / "conf"),
            "FLINK_LOG_DIR": str(self._folder / "log"),
            "FLINK_PID_DIR": str(self._folder),
        }
        log = self._stack.enter_context((self._folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, cwd=flink_home(), stdout=log, stderr=log
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


def flink_home() -> Path:
    """Flink's distribution, as PyPI carries it."""
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
    opened = " ".join(f"java.base/java.{name}" for name in ("lang", "util", "nio", "time"))
    manifest = {
        "Manifest-Version": "1.0",
        "Main-Class": "org.apache.beam.runners.flink.FlinkJobServerDriver",
        "Add-Opens": opened,
        "Class-Path": " ".join(f"libs/{jar.name}" for jar in sorted((folder / "libs").glob("*.jar"))),
    }
    # A line has 72 bytes at most and goes on in the next one behind a space.
    lines = (re.sub("(.{70})(?=.)", r"\1\n ", f"{name}: {value}") for name, value in manifest.items())
    with zipfile.ZipFile(folder / "job-server.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "".join(f"{line}\n" for line in lines))


@contextmanager
def running(task_managers: int = 2, slots: int = 2) -> Iterator[Cluster]:
    """A cluster, ended with all its processes."""
    with TemporaryDirectory(prefix="flink-") as folder, ExitStack() as stack:
        cluster = Cluster(Path(folder), stack)
        cluster.start(task_managers, slots)
        yield cluster
