"""The tests: their folders are those of what they test; `servers` starts real ones."""

from pathlib import Path

#: The project's folder.
ROOT = Path(__file__).parent.parent
