"""Prism, Beam's local portable runner: built once from the Go module of the installed Beam version."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from . import CACHE, free_port, listens, need, once, wait_until


def build() -> Path:
    """The prism binary."""
    beam = version("apache-beam")
    folder = CACHE / f"prism-{beam}"
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam}"
    environment = {**os.environ, "GOBIN": str(folder)}
    once(
        folder,
        lambda: subprocess.run([need("go"), "install", module], env=environment, check=True, capture_output=True),
    )
    return folder / "prism"


@contextmanager
def running() -> Iterator[str]:
    """A job endpoint."""
    port = free_port()
    arguments = [f"--job_port={port}", "--serve_http=false", "--idle_shutdown_timeout=-1s", "--log_level=warn"]
    process = subprocess.Popen([build(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "prism")
        assert process.poll() is None, "prism ended at once"
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()
