"""make servers: runs a Kafka broker and a Flink cluster until Ctrl-C, and prints the options that lead there.

python -m tests.servers --fetch fetches and builds everything that tests start, and starts nothing.
"""

import signal
import sys
from collections.abc import Sequence

import pytest

from tests.templates import image

from . import CACHE, chromium, flink, kafka, prism

_PARTS = {
    "Prism": prism.build,
    "Kafka": kafka.jars,
    "Chromium": chromium.build,
    "Flink": flink.flink_home,
    "Flink job server": flink.job_server,
    "Dependencies of the Dataflow image": image.dependencies,
}
_STARTED = ("Kafka", "Flink", "Flink job server")


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 1 if a tool is missing."""
    if argv not in ([], ["--fetch"]):
        print(f"usage: python -m tests.servers [--fetch], not {' '.join(argv)}", file=sys.stderr)
        return 2
    only_fetch = bool(argv)
    if not _fetched(list(_PARTS) if only_fetch else _STARTED):
        return 1
    if only_fetch:
        print(f"everything is in {CACHE}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):  # A background process of a shell ignores SIGINT.
        signal.signal(number, signal.default_int_handler)
    try:
        _serve()
    except KeyboardInterrupt:
        print("ended")
    return 0


def _fetched(names: Sequence[str]) -> bool:
    """Fetches components and prints a line for each; False if the tool of one is missing."""
    missing = 0
    for name in names:
        try:
            print(f"{name}: {_PARTS[name]()}", flush=True)
        except pytest.skip.Exception as reason:
            missing += 1
            print(f"{name}: {reason}", file=sys.stderr)
    return not missing


def _serve() -> None:
    with kafka.running() as broker, flink.running() as cluster:
        print(
            f"\nFlink: http://127.0.0.1:{cluster.rest}, two TaskManagers with two slots each; logs in {cluster.folder}"
            "\nIn another terminal:\n\n"
            f"export KAFKA={broker.servers}\n"
            f"export FLINK='{' '.join(cluster.flags)}'\n"
            f"export FLINK_REST=http://127.0.0.1:{cluster.rest}\n"
            f"export FLINK_RUNNER='{' '.join(cluster.runner_flags)}'\n\n"
            "Ctrl-C ends all servers.",
            flush=True,
        )
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
