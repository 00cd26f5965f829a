"""The public package: names, docstrings that run, and a light import."""

import ast
import doctest
import importlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from beam_patterns import pipelines, testing, transforms
from beam_patterns.transforms import balance, extend, queues, work
from tests import ROOT

FOLDERS = ("transforms", "pipelines", "testing")
MODULES = sorted(
    "beam_patterns." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__main__.py" and not path.name.startswith("test_")
)


PACKAGES = [transforms, extend, balance, queues, work, testing, pipelines]


@pytest.mark.parametrize("package", PACKAGES, ids=[package.__name__ for package in PACKAGES])
def test_all_is_the_sorted_list_of_the_public_names(package: ModuleType) -> None:
    names = [name for name in names_in(Path(package.__file__ or "")) if not name.startswith("_")]
    assert package.__all__ == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(package, name) for name in package.__all__)


def names_in(file: Path) -> Iterator[str]:
    """The names that a module defines or imports from this package, for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from (alias.asname or alias.name for alias in node.names)
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("module", ["beam_patterns", *MODULES])
def test_every_example_in_a_docstring_runs(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


@pytest.mark.parametrize("name", transforms.__all__)
def test_every_public_transform_has_an_example_and_a_contract(name: str) -> None:
    public = getattr(transforms, name)
    text = public.__doc__ or ""
    assert text.strip()
    if hasattr(public, "expand"):
        parts = [
            part
            for part in ("    In:", "    Out:", "    Streaming:", "    Failure:", "    Source:", ">>> ", "```")
            if part not in text
        ]
        assert parts == []


def test_public_classes_and_functions_have_docstrings() -> None:
    lacking = []
    for path in [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            public = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith(("_", "test_"))
            if public and not ast.get_docstring(node):
                lacking.append(f"{path.name}: {node.name}")
    assert lacking == []


@pytest.mark.integration
def test_importing_the_transforms_loads_no_client_that_is_not_used() -> None:
    heavy = (
        "kafka confluent_kafka google.cloud.pubsub sqlite3 pebble tenacity httpx datasketches matplotlib av PIL rich"
    )
    code = (
        "import sys, apache_beam; before = set(sys.modules); import beam_patterns.transforms; "
        f"print(*[m for m in {heavy.split()!r} if m in sys.modules and m not in before])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.integration
def test_the_wheel_contains_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"beam_patterns"}
    packed = {name for name in names if name.endswith(".py")}
    assert packed - {"beam_patterns/__init__.py"} == {
        f"beam_patterns/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    templates = [path for kind in ("html", "css") for path in (ROOT / "pipelines").rglob(f"*.{kind}")]
    assert len(templates) == 6
    assert {f"beam_patterns/{path.relative_to(ROOT).as_posix()}" for path in templates} <= set(names)
    assert {f"beam_patterns/{folder}/py.typed" for folder in FOLDERS} <= set(names)


@pytest.mark.integration
def test_a_plain_install_into_an_empty_environment_offers_the_transforms(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    code = "from beam_patterns.transforms import Copier, Filter, Splitter, Sharder, Merger, DeadLetters"
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path)
    for command in (["list"], ["providers"], ["new", "my_flow"]):
        subprocess.run([tmp_path / "venv" / "bin" / "beam-patterns", *command], check=True, cwd=tmp_path)
    subprocess.run([python, "my_flow.py", "--help"], check=True, cwd=tmp_path)
