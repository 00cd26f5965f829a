"""The tests: their folders are those of what they test; `servers` starts real ones."""

import os
from pathlib import Path

#: The project's folder.
ROOT = Path(__file__).parent.parent
#: How many times as often as a sample the tests marked `soak` kill and generate: see bench/soak.py.
SOAK = int(os.environ.get("BEAM_PATTERNS_SOAK", "1"))
