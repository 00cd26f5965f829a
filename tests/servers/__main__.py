"""make servers: fetches and builds what the tests start, so that no test has to wait for it."""

import sys

import pytest

from tests.templates import image

from . import CACHE, chromium, flink, kafka, prism

_PARTS = {
    "Prism": prism.build,
    "Kafka": kafka.jars,
    "Chromium": chromium.build,
    "Flink": flink.flink_home,
    "Flink job server": flink.job_server_jars,
    "Dependencies of the Dataflow image": image.dependencies,
}


def main() -> int:
    """One line per component; those whose tools are missing are named."""
    missing = 0
    for name, fetch in _PARTS.items():
        try:
            print(f"{name}: {fetch()}", flush=True)
        except pytest.skip.Exception as reason:
            missing += 1
            print(f"{name}: {reason}", file=sys.stderr)
    print(f"all kept in {CACHE}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
