"""Fixtures for all tests: a pipeline on each runner."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms.work.fork_server import ForkServer

from .servers import chromium, flink, prism
from .servers import kafka as kafka_server
from .servers import pubsub as pubsub_server


def pytest_configure() -> None:
    """Ctrl-C reaches the programs that tests start, even if the tests themselves run behind nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Anyone's work source can be tested by the conformance tests: see test_work_queue_source.py."""
    parser.addoption("--work-queue-source", metavar="URL", help="a work source, http://host:port/api/v1/items")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A source of somebody's own is all that is tested then."""
    others = collection_path.suffix == ".py" and collection_path.name != "test_work_queue_source.py"
    return True if config.getoption("--work-queue-source") and others else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Not even how ours is made."""
    if config.getoption("--work-queue-source"):
        items[:] = [item for item in items if "source" in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session")
def prism_endpoint() -> Iterator[str]:
    """A running Prism."""
    with prism.running() as endpoint:
        yield endpoint


def pytest_itemcollected(item: pytest.Item) -> None:
    """One process runs all tests of a file; those that use the Flink cluster say that they are one group."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def flink_shared() -> Iterator[flink.Shared]:
    """What keeps the Flink cluster."""
    shared = flink.Shared()
    yield shared
    shared.close()


@pytest.fixture
def flink_cluster(flink_shared: flink.Shared) -> flink.Cluster:
    """A running Flink cluster, shared by the tests marked xdist_group("flink")."""
    return flink_shared.cluster()


@pytest.fixture
def flink_streams(flink_cluster: flink.Cluster) -> Iterator[flink.Cluster]:
    """The same for streams, which a test leaves running."""
    yield flink_cluster
    flink_cluster.cancel()


@pytest.fixture(scope="session")
def kafka() -> Iterator[kafka_server.Cluster]:
    """A running Kafka broker, shared: make topics with `kafka.topic()`."""
    with kafka_server.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    """A running Chromium: `with browser.page() as page`."""
    with chromium.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Keeps the fork server running, which otherwise each pipeline with a WorkQueue starts and ends."""
    kept = ForkServer.acquire()
    yield
    kept.release()


@pytest.fixture(scope="session")
def pubsub_service() -> Iterator[pubsub_server.Service]:
    """A running Pub/Sub emulator."""
    with pubsub_server.running() as service:
        yield service


@pytest.fixture
def pubsub(pubsub_service: pubsub_server.Service, monkeypatch: pytest.MonkeyPatch) -> pubsub_server.Service:
    """The running emulator, where this test's clients find it: make topics with `pubsub.topic()`."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_service.endpoint)
    return pubsub_service


@pytest.fixture(params=["FnApiRunner", pytest.param("Prism", marks=pytest.mark.integration)])
def pipeline(request: pytest.FixtureRequest) -> Callable[..., beam.Pipeline]:
    """Makes pipelines, on each runner: `with pipeline() as p`."""
    if request.param == "FnApiRunner":
        return lambda *flags: beam.Pipeline("FnApiRunner", options=PipelineOptions(list(flags)))
    endpoint = request.getfixturevalue("prism_endpoint")
    base = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
    return lambda *flags: beam.Pipeline(options=PipelineOptions([*base, *flags]))


@pytest.fixture
def streaming(prism_endpoint: str) -> Callable[[], beam.Pipeline]:
    """Makes streaming pipelines, for TestStream: on Prism, since FnApiRunner has none."""
    flags = ["--runner=PortableRunner", f"--job_endpoint={prism_endpoint}", "--environment_type=LOOPBACK"]
    return lambda: beam.Pipeline(options=PipelineOptions([*flags, "--streaming"]))
