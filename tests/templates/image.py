"""The Dockerfile's steps, run here without a container: into a virtual environment instead of an image."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT
from tests.servers import CACHE, once

DOCKERFILE = ROOT / "templates" / "Dockerfile"
REQUIREMENTS = ROOT / "templates" / "requirements.txt"


def instructions(name: str) -> list[str]:
    """What follows RUN, COPY, ARG ... in the Dockerfile, each on one line and without Docker's own flags."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text()).splitlines()
    found = [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]
    return [re.sub(r"^(--mount=\S+ +)", "", one) for one in found]


def dependencies() -> Path:
    """An environment with what the image has besides this project: downloaded, then installed without an index."""
    fetch, install, *_ = instructions("RUN")
    folder = CACHE / f"image-{hashlib.sha256((fetch + install).encode() + REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    once(folder, lambda: _build(folder, fetch, install))
    return folder / "venv"


def _build(folder: Path, fetch: str, install: str) -> None:
    wheels, venv = folder / "wheels", folder / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    wheels.mkdir(exist_ok=True)
    shutil.copy(REQUIREMENTS, wheels)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    for step in (fetch, install):
        shell(step.replace("/wheels", str(wheels)), venv)
    shutil.rmtree(wheels)


def build(folder: Path) -> Path:
    """The image's Python: the dependencies, and this project installed from exactly the files that are copied."""
    venv, template = folder / "venv", folder / "template"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = dependencies().glob("lib/python3*/site-packages")
    (own,) = venv.glob("lib/python3*/site-packages")
    (own / "dependencies.pth").write_text(f"{packages}\n")
    template.mkdir()
    for line in instructions("COPY"):
        *names, target = line.split()
        if not line.startswith(("--from", "templates/requirements.txt")):
            for name in names:
                _copy(ROOT / name, template / target / name if target == "./" else template / target)
    _, _, install, _ = instructions("RUN")
    shell(install.replace("/template", str(template)), venv)
    return venv / "bin" / "python"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def shell(step: str, venv: Path) -> None:
    """A step of the Dockerfile with this environment's pip."""
    step = re.sub(r"(^|&& )pip ", rf"\1{venv}/bin/python -m pip ", step)
    run = subprocess.run(["sh", "-euc", step], capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, f"{step}\n{run.stdout}{run.stderr}"
