"""Runs code as a user without permissions, even if the tests run as root."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def locked_folder() -> Iterator[Path]:
    """A folder that all users may list and a user without permissions may not write to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def error_of(code: str) -> str:
    """The text of the QueueError that a piece of Python raises for a user without permissions."""
    program = (
        "import logging, os; logging.disable(50)\n"
        "from beam_patterns.transforms.queues import *\n"
        "import beam_patterns.transforms.queues.sqlite.queue, beam_patterns.transforms.queues.files.queue\n"
        "import beam_patterns.transforms.queues.files.lines\n"
        # After the imports, because this user may not be allowed to read the interpreter's folder.
        f"os.getuid() or os.setuid({NOBODY})\n"
        f"try:\n    {code}\nexcept QueueError as error:\n    print(error)"
    )
    uid = os.getuid() or NOBODY
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().replace(f"uid {uid}", "uid N")
