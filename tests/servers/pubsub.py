"""A real Pub/Sub service on this machine: Google's emulator where it is installed, otherwise pstest, its Go double."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import CACHE, free_port, listens, need, once, wait_until

_SOURCES = Path(__file__).with_name("pubsub_emulator")
_QUIET = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
#: Set to 1 to use pstest although the emulator is installed.
_PSTEST = "BEAM_PATTERNS_PSTEST"


class Service:
    """A project at an endpoint; `official` if Google's emulator serves it."""

    project = "tests"

    def __init__(self, endpoint: str, official: bool) -> None:
        self.endpoint, self.official = endpoint, official

    def topic(self) -> str:
        """Creates a topic with a unique name."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        self._client("Publisher").create_topic(name=f"projects/{self.project}/topics/{name}")
        return name

    def subscription(self, topic: str, deadline: int = 10, **settings: Any) -> str:
        """Creates a subscription of a topic, which gets the messages published from now on."""
        name = f"s-{uuid.uuid4().hex[:12]}"
        request = {
            "name": f"projects/{self.project}/subscriptions/{name}",
            "topic": f"projects/{self.project}/topics/{topic}",
            "ack_deadline_seconds": deadline,
            **settings,
        }
        self._client("Subscriber").create_subscription(request=request)
        return name

    def uri(self, name: str, **params: str) -> str:
        """pubsub://project/name?name=value."""
        query = "&".join(f"{key}={value}" for key, value in params.items())
        return f"pubsub://{self.project}/{name}" + (f"?{query}" if query else "")

    def _client(self, role: str) -> Any:
        import grpc
        from google import pubsub_v1

        client = getattr(pubsub_v1, f"{role}Client")
        return client(transport=client.get_transport_class("grpc")(channel=grpc.insecure_channel(self.endpoint)))


@contextmanager
def running(denied: Sequence[str] = ()) -> Iterator[Service]:
    """An empty service; only pstest can deny methods."""
    jar = None if denied or os.environ.get(_PSTEST) else _emulator()
    port = free_port()
    with TemporaryDirectory(prefix="pubsub-") as folder:
        if jar:
            command = [need("java"), *_QUIET, "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"]
        else:
            command = [str(_built()), str(port), *denied]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            wait_until(lambda: listens(port) or process.poll() is not None, "Pub/Sub")
            assert process.poll() is None, (Path(folder) / "log").read_text()
            yield Service(f"127.0.0.1:{port}", official=jar is not None)
        finally:
            process.kill()
            process.wait()


def _emulator() -> Path | None:
    """The jar in the Google Cloud SDK, if that component and Java are installed."""
    gcloud = shutil.which("java") and shutil.which("gcloud")
    folder = Path(gcloud).resolve().parents[1] / "platform" / "pubsub-emulator" / "lib" if gcloud else Path("none")
    return next(iter(sorted(folder.glob("cloud-pubsub-emulator-*-all.jar"))), None)


def _built() -> Path:
    """The pstest server, built once from its sources."""
    folder = CACHE / "pstest-2.8.1"
    go = ["build", "-buildvcs=false", "-o", str(folder / "server"), "."]
    once(folder, lambda: subprocess.run([need("go"), *go], cwd=_SOURCES, check=True, capture_output=True))
    return folder / "server"
