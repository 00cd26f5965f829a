"""A correct program passes mypy --strict and pyright, and each wrong line is an error, with both kinds of install."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.environments import install, new_environment

PROGRAMS = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
#: Most functions of Beam have no annotations, and pyarrow has no type information.
CONFIG = """
[mypy]
strict = true
untyped_calls_exclude = apache_beam
[mypy-pyarrow.*]
ignore_missing_imports = true
"""
SOURCES = ("setup.py", "README.md", "LICENSE", "pyproject.toml", "beam_patterns", "transforms", "pipelines", "testing")
Check = Callable[[Path, Path], dict[int, str]]


@pytest.fixture(scope="module", params=["plain", "editable"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the package; it shares the dependencies with the tests' environment."""
    folder = tmp_path_factory.mktemp(request.param)
    checkout = folder / "checkout"  # A copy, because an install writes into the checkout.
    checkout.mkdir()
    for name in SOURCES:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, checkout / name)
    editable = ["--config-settings", "editable_mode=strict", "--editable"] if request.param == "editable" else []
    python = new_environment(folder)
    install(python, *editable, checkout)
    return python


def errors_of_mypy(python: Path, program: Path) -> dict[int, str]:
    """The errors by line."""
    config = program.with_name("mypy.ini")
    config.write_text(CONFIG)
    cache = ["--cache-dir", python.parents[1] / "mypy_cache"]
    command = [SCRIPTS / "mypy", *cache, "--config-file", config, "--python-executable", python, program.name]
    run = subprocess.run(command, capture_output=True, text=True, cwd=program.parent)
    lines = [line.split(":", 2) for line in run.stdout.splitlines() if ": error: " in line]
    return {int(number): text for _, number, text in lines}


def errors_of_pyright(python: Path, program: Path) -> dict[int, str]:
    """The errors by line."""
    command = [SCRIPTS / "pyright", "--pythonpath", python, "--outputjson", program.name]
    run = subprocess.run(command, capture_output=True, text=True, cwd=program.parent)
    found = json.loads(run.stdout)["generalDiagnostics"]
    return {fault["range"]["start"]["line"] + 1: fault["message"] for fault in found if fault["severity"] == "error"}


def copied(name: str, folder: Path) -> Path:
    """A program in a folder of its own, where no other package is near."""
    return Path(shutil.copy(PROGRAMS / name, folder))


@pytest.mark.integration
@pytest.mark.parametrize("errors_of", [errors_of_mypy, errors_of_pyright])
def test_a_correct_program_has_no_error(python: Path, tmp_path: Path, errors_of: Check) -> None:
    assert errors_of(python, copied("correct.py", tmp_path)) == {}


@pytest.mark.integration
@pytest.mark.parametrize("errors_of", [errors_of_mypy, errors_of_pyright])
def test_each_wrong_line_is_an_error(python: Path, tmp_path: Path, errors_of: Check) -> None:
    program = copied("wrong.py", tmp_path)
    marked = [number for number, line in enumerate(program.read_text().splitlines(), 1) if line.endswith("# error")]
    assert sorted(errors_of(python, program)) == marked


@pytest.mark.integration
def test_the_flow_that_the_command_line_writes_passes_mypy_strict(python: Path, tmp_path: Path) -> None:
    subprocess.run([python.with_name("beam-patterns"), "new", "my_flow"], check=True, cwd=tmp_path)
    assert errors_of_mypy(python, tmp_path / "my_flow.py") == {}
