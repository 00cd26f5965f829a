"""The kill tests and the property tests, many times more often than `make test` runs them.

    python -m bench.soak [--times 40] [TEST ...]

The default is 200 kills of each program and forty times as many generated cases; the figures of each test are in its
report at the end. It takes hours. TEST is a file or test to run instead of all.
"""

import argparse
import os
import subprocess
import sys


def main() -> int:
    """Runs the tests marked `soak`; returns the exit code of pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=40, help="how many times as often as in `make test`")
    parser.add_argument("tests", metavar="TEST", nargs="*")
    options = parser.parse_args()
    command = [sys.executable, "-m", "pytest", "-m", "soak", "-rA", "--durations=0", "--timeout=0", *options.tests]
    return subprocess.run(command, env={**os.environ, "BEAM_PATTERNS_SOAK": str(options.times)}).returncode


if __name__ == "__main__":
    sys.exit(main())
