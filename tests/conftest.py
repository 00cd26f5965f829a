"""Fixtures for all tests: a pipeline on each runner."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apache_beam as beam
import hypothesis
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms.work.fork_server import ForkServer

from . import SOAK
from .servers import chromium, flink, prism, wait_until
from .servers import kafka as kafka_server
from .servers import pubsub as pubsub_server

#: Beam makes some 200 argument parsers per pipeline, and each asks for the terminal's size and for translations.
os.environ |= {"COLUMNS": "80", "LINES": "24", "LANGUAGE": "C"}
hypothesis.settings.register_profile("sample", max_examples=100 * SOAK)
hypothesis.settings.load_profile("sample")


def pytest_configure() -> None:
    """Lets Ctrl-C reach the programs that tests start, even if the tests run under nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option that points the conformance tests at any work source: see test_work_queue_source.py."""
    parser.addoption("--work-queue-source", metavar="URL", help="a work source, http://host:port/api/v1/items")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --work-queue-source, collects only its conformance tests."""
    others = collection_path.suffix == ".py" and collection_path.name != "test_work_queue_source.py"
    return True if config.getoption("--work-queue-source") and others else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --work-queue-source, leaves out the tests of our own source. Puts groups that take minutes first."""
    if config.getoption("--work-queue-source"):
        items[:] = [item for item in items if "source" in getattr(item, "fixturenames", ())]
    ranks: dict[str, int] = {}
    for item in items:
        ranks[_group(item)] = min(_rank(item), ranks.get(_group(item), 2))
    items.sort(key=lambda item: ranks[_group(item)])


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return marker.args[0] if marker else ""


def _rank(item: pytest.Item) -> int:
    """Tests of clusters and brokers take longest: started last, they would run alone at the end."""
    if any(place in _group(item) for place in ("flink", "/kafka/", "/pubsub/")):
        return 0
    return 1 if item.get_closest_marker("integration") else 2


@pytest.fixture(scope="session")
def prism_server() -> Iterator[str]:
    """A running Prism, shared."""
    with prism.running() as endpoint:
        yield endpoint


@pytest.fixture
def prism_endpoint(prism_server: str) -> Iterator[str]:
    """The running Prism.

    Prism forgets a worker when its job ends. A worker in this process that is still connecting then, as on a busy
    machine, logs that it is "not registered in worker pool": it has to end before the next test looks at its own log.
    A worker of a failed job may never end; the next tests do not wait for it.
    """
    before = set(threading.enumerate())
    yield prism_server
    with suppress(TimeoutError):
        wait_until(lambda: not any(map(_is_of_a_worker, set(threading.enumerate()) - before)), "the end of workers", 15)


def _is_of_a_worker(thread: threading.Thread) -> bool:
    return thread.name.startswith(("run_worker_", "read_grpc_client_inputs", "read_state", "forward_grpc_outputs"))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Makes each file a group for one process, unless a test names its group, and marks property tests for the soak."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker(pytest.mark.soak)
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def flink_shared() -> Iterator[flink.Shared]:
    """The shared Flink cluster, which is started at its first use."""
    shared = flink.Shared()
    yield shared
    shared.close()


@pytest.fixture
def flink_cluster(flink_shared: flink.Shared) -> flink.Cluster:
    """A running Flink cluster, shared by the tests marked xdist_group("flink")."""
    return flink_shared.cluster()


@pytest.fixture
def flink_streams(flink_cluster: flink.Cluster) -> Iterator[flink.Cluster]:
    """The same for streams, which are cancelled after the test."""
    yield flink_cluster
    print(*flink_cluster.describe(), sep="\n")  # Shown when the test fails: a stream that waits does not say why.
    flink_cluster.cancel()


@pytest.fixture(scope="session")
def kafka() -> Iterator[kafka_server.Cluster]:
    """A running Kafka broker, shared: create topics with `kafka.topic()`."""
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
    """The running emulator, set as the endpoint of this test's clients: create topics with `pubsub.topic()`."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_service.endpoint)
    return pubsub_service


@pytest.fixture(params=["FnApiRunner", pytest.param("Prism", marks=pytest.mark.integration)])
def pipeline(request: pytest.FixtureRequest) -> Callable[..., beam.Pipeline]:
    """Creates pipelines, on each runner: `with pipeline() as p`."""
    if request.param == "FnApiRunner":
        return lambda *flags: beam.Pipeline("FnApiRunner", options=PipelineOptions(list(flags)))
    endpoint = request.getfixturevalue("prism_endpoint")
    base = ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
    return lambda *flags: beam.Pipeline(options=PipelineOptions([*base, *flags]))


@pytest.fixture
def streaming(prism_endpoint: str) -> Callable[[], beam.Pipeline]:
    """Creates streaming pipelines, for TestStream: on Prism, because FnApiRunner has no TestStream."""
    flags = ["--runner=PortableRunner", f"--job_endpoint={prism_endpoint}", "--environment_type=LOOPBACK"]
    return lambda: beam.Pipeline(options=PipelineOptions([*flags, "--streaming"]))
