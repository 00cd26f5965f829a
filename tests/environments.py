"""Virtual environments for tests that install the project."""

import subprocess
import sys
import sysconfig
from pathlib import Path


def new_environment(folder: Path) -> Path:
    """The interpreter of a new environment, which has the dependencies of the tests' own but not the project."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


def install(python: Path, *packages: str | Path) -> None:
    """Installs packages into an environment, without their dependencies."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *packages], check=True)
