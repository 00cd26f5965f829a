"""A real Kafka broker in KRaft mode, from the jars of kafka-pom.xml; it can be killed and started again."""

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from . import CACHE, dies_with_parent, free_port, listens, need, once, wait_until

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

_POM = Path(__file__).with_name("kafka-pom.xml")
_VERSION = "4.3.1"
_CLUSTER_ID = "beam-patterns-tests-00"  # A UUID in base 64: 22 characters.
_QUIET = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
_SERVER = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


def jars() -> str:
    """The class path of the broker and its tools, copied once from a Maven repository."""
    folder = CACHE / f"kafka-{_VERSION}"
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'libs'}", "-DincludeScope=runtime"]
    once(folder, lambda: subprocess.run([need("mvn"), "-q", "-B", "-f", _POM, *goal], check=True, capture_output=True))
    return f"{folder}/libs/*"


def tool(main: str, *arguments: str, stdin: bytes = b"", options: tuple[str, ...] = ()) -> bytes:
    """Runs one of Kafka's own command line tools, such as org.apache.kafka.tools.consumer.ConsoleConsumer."""
    command = [need("java"), *_QUIET, *options, "-cp", jars(), main, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Broker:
    """A broker that is also a controller, alone or one of several voters."""

    def __init__(self, folder: Path, node: int, port: int, voters: dict[int, int]) -> None:
        self.port, self._folder, self._node = port, folder, node
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "server.properties"
        self._config.write_text(_properties(folder, node, port, voters))

    def configure(self, settings: Mapping[str, object]) -> None:
        """Adds settings, which replace earlier ones."""
        with self._config.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    def format(self, *options: str) -> None:
        """Formats the log folder."""
        tool("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._config), *options)

    def launch(self) -> None:
        """Starts its process."""
        command = dies_with_parent([need("java"), *_SERVER, "-cp", jars(), "kafka.Kafka", str(self._config)])
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    def await_ready(self) -> None:
        """Returns when the broker listens; in a cluster that is when most brokers run."""
        wait_until(lambda: listens(self.port) or not self.alive, f"Kafka on port {self.port}", 600)
        if not self.alive:
            raise RuntimeError(f"Kafka on port {self.port}: {(self._folder / 'broker.log').read_text()[-3000:]}")

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def await_topic(self, topic: str, partitions: int) -> None:
        """Returns when the broker knows the leaders of all partitions, or does not run."""
        from confluent_kafka.admin import AdminClient

        def known() -> bool:
            found = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}"}).list_topics(timeout=60).topics
            return topic in found and sum(p.leader >= 0 for p in found[topic].partitions.values()) == partitions

        wait_until(lambda: not self.alive or known(), f"{topic} on port {self.port}")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Cluster:
    """Brokers, and what tests do with them."""

    def __init__(self, brokers: list[Broker]) -> None:
        self.brokers = brokers
        self.servers = ",".join(f"127.0.0.1:{broker.port}" for broker in brokers)

    def topic(self, partitions: int = 1, **config: str) -> str:
        """Creates a topic with a unique name."""
        from kafka.admin import NewTopic

        name = f"t-{uuid.uuid4().hex[:12]}"
        copies = min(3, len(self.brokers))
        with self._admin() as admin:
            admin.create_topics([NewTopic(name, partitions, copies, topic_configs=config)])
        for (
            broker
        ) in self.brokers:  # A client asks any broker, and one that has just started may not know the topic yet.
            broker.await_topic(name, partitions)
        return name

    def grow(self, topic: str, partitions: int) -> None:
        """Gives a topic more partitions."""
        with self._admin() as admin:
            admin.create_partitions({topic: partitions})

    def partitions(self, topic: str) -> int:
        """The number of partitions of a topic."""
        with self._admin() as admin:
            (described,) = admin.describe_topics([topic])
        return len(described["partitions"])

    def leader(self, topic: str, partition: int = 0) -> Broker:
        """The leader of a partition."""
        with self._admin() as admin:
            (described,) = admin.describe_topics([topic])
        (node,) = [p["leader_id"] for p in described["partitions"] if p["partition_index"] == partition]
        return self.brokers[node - 1]

    def uri(self, topic: str, **params: str) -> str:
        """kafka://servers/topic?name=value."""
        query = "&".join(f"{name}={value}" for name, value in params.items())
        return f"kafka://{self.servers}/{topic}" + (f"?{query}" if query else "")

    def kill(self) -> None:
        """Kills all brokers with -9."""
        for broker in self.brokers:
            broker.kill()

    def start(self) -> None:
        """Starts the brokers that do not run."""
        started = [broker for broker in self.brokers if not broker.alive]
        for broker in started:
            broker.launch()
        for broker in started:
            broker.await_ready()

    def _admin(self) -> "KafkaAdminClient":
        from kafka import KafkaAdminClient

        return KafkaAdminClient(bootstrap_servers=self.servers)


@contextmanager
def running(size: int = 1) -> Iterator[Cluster]:
    """An empty cluster."""
    with TemporaryDirectory(prefix="kafka-") as folder:
        voters = {node: free_port() for node in range(1, size + 1)}
        brokers = [Broker(Path(folder) / str(node), node, free_port(), voters) for node in voters]
        cluster = Cluster(brokers)
        try:
            for broker in brokers:
                broker.format()
            cluster.start()
            yield cluster
        finally:
            cluster.kill()


def _properties(folder: Path, node: int, port: int, voters: dict[int, int]) -> str:
    copies, least = (3, 2) if len(voters) >= 3 else (1, 1)
    names = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{p}" for n, p in voters.items()),
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{voters[node]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": folder / "log",
        "default.replication.factor": copies,
        "min.insync.replicas": least,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": least,
        "group.initial.rebalance.delay.ms": 0,
        # On a busy machine three brokers may need minutes to agree; by default a broker gives up after one.
        "initial.broker.registration.timeout.ms": 600_000,
        "controller.quorum.election.timeout.ms": 3_000,
        "controller.quorum.fetch.timeout.ms": 6_000,
        "log.cleaner.backoff.ms": 100,
    }
    return "".join(f"{name}={value}\n" for name, value in names.items())
