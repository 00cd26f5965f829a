"""The floors: which folder may import which. No circles. Imports for type checkers and in functions count too."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT

#: Folders of transforms/ on which the patterns stand. Each imports base/ and itself, base/ itself only.
FOLDERS = ("base", "combine", "joining", "tables", "work", "queues")
#: Modules with the public names of transforms/, which pipelines/ and testing/ import.
PUBLIC = ("transforms", "transforms.extend", "transforms.balance", "transforms.queues", "transforms.work")
Sources = Mapping[str, str]


def module_of(file: str) -> str:
    """transforms.base for transforms/base/__init__.py."""
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def imports_of(file: str, sources: Sources) -> Iterator[tuple[str, str]]:
    """The imports of modules of this package: the module, and the imported name, which is "" for the module itself."""
    modules, folder = set(map(module_of, sources)), Path(file).parent.parts
    for node in ast.walk(ast.parse(sources[file])):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition("beam_patterns.")[2], "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else ()
            module = ".".join([*start, *(node.module or "").split(".")]).strip(".")
            module = module if node.level else module.partition("beam_patterns")[2].lstrip(".")
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                yield (inner, "") if inner in modules else (module, alias.name)


def is_allowed(file: str, module: str, name: str, public: Mapping[str, set[str]]) -> bool:
    """Whether a file may import a name of a module, or the module itself."""
    (floor, folder, *_), (target, inside) = file.split("/"), [*module.split("."), ""][:2]
    if floor == "transforms":
        folders = ("base",) if folder == "base" else ("base", folder) if folder in FOLDERS else FOLDERS
        return target == floor and (inside in folders or folder in ("__init__.py", "extend.py", "balance.py"))
    if target == "transforms":
        return module in PUBLIC and (not name or name in public[module])
    return not (file.startswith("pipelines/runtime/") and inside in ("report", "cli", "beam_yaml"))


def faults(sources: Sources) -> list[str]:
    """A sentence for each import that breaks a rule, and for a circle."""
    graph, found, public = dict[str, set[str]](), list[str](), {module: set[str]() for module in PUBLIC}
    for file, source in sources.items():
        for node in ast.parse(source).body:
            if module_of(file) in PUBLIC and isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                public[module_of(file)].update(ast.literal_eval(node.value))
    for file in sources:
        imports = [(module, name) for module, name in imports_of(file, sources) if module]
        found += [
            f"{file} imports {name or 'all'} of {module}"
            for module, name in imports
            if not is_allowed(file, module, name, public)
        ]
        graph[module_of(file)] = {module for module, _ in imports if module != module_of(file)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"these modules import each other: {' '.join(sorted(set(error.args[1])))}")
    return found


@pytest.mark.integration
def test_no_import_climbs_a_floor_and_there_are_no_circles() -> None:
    files = [file for folder in ("transforms", "pipelines", "testing") for file in (ROOT / folder).rglob("*.py")]
    assert faults({file.relative_to(ROOT).as_posix(): file.read_text() for file in files}) == []


TREE = {
    "transforms/__init__.py": "from .filter import Filter\n__all__ = ['Filter']",
    "transforms/queues/__init__.py": "from .read import Read\n__all__ = ['Read']",
    "transforms/queues/read.py": "from ..base.guard import Guard\nfrom .uri import Uri",
    "transforms/queues/uri.py": "import re",
    "transforms/base/guard.py": "from .batches import Batch",
    "transforms/base/batches.py": "import apache_beam as beam",
    "transforms/filter.py": "from .base.guard import Guard\nfrom .queues.read import Read",
    "transforms/map.py": "from .base import guard",
    "pipelines/__init__.py": "from .runtime.run import run",
    "pipelines/copy_queue.py": "from beam_patterns.pipelines import run\nfrom beam_patterns import transforms",
    "pipelines/runtime/run.py": "from beam_patterns.transforms.queues import Read",
    "pipelines/report/page.py": "from beam_patterns.pipelines.runtime.run import run",
    "pipelines/cli/main.py": "from ..report.page import page",
    "testing/run.py": "from beam_patterns.transforms import queues",
}


@pytest.mark.parametrize(
    ("file", "line", "sentence"),
    [
        ("testing/run.py", "", ""),
        ("transforms/base/batches.py", "from ..filter import Filter", "imports Filter of transforms.filter"),
        ("transforms/base/batches.py", "from ..queues.uri import Uri", "imports Uri of transforms.queues.uri"),
        ("transforms/queues/uri.py", "from ..filter import Filter", "imports Filter of transforms.filter"),
        ("transforms/queues/uri.py", "from beam_patterns.pipelines import run", "imports run of pipelines"),
        ("transforms/map.py", "from .filter import Filter", "imports Filter of transforms.filter"),
        ("transforms/map.py", "from . import filter", "imports all of transforms.filter"),
        ("testing/run.py", "from beam_patterns.transforms.base import guard", "imports all of transforms.base.guard"),
        ("testing/run.py", "from beam_patterns.transforms import Guard", "imports Guard of transforms"),
        ("pipelines/copy_queue.py", "import beam_patterns.transforms.map", "imports all of transforms.map"),
        ("pipelines/runtime/run.py", "from ..report.page import page", "imports page of pipelines.report.page"),
        ("pipelines/runtime/run.py", "def f():\n from ..cli import main", "imports all of pipelines.cli.main"),
    ],
)
def test_an_import_that_climbs_a_floor_is_found(file: str, line: str, sentence: str) -> None:
    found = [fault for fault in faults({**TREE, file: f"{TREE[file]}\n{line}"}) if "each other" not in fault]
    assert found == ([f"{file} {sentence}"] if sentence else [])


@pytest.mark.parametrize("where", ["{}", "if TYPE_CHECKING:\n    {}", "def later():\n    {}"])
def test_a_circle_is_found_wherever_the_import_is(where: str) -> None:
    line = where.format("from .guard import Guard")
    changed = {**TREE, "transforms/base/batches.py": f"from typing import TYPE_CHECKING\n{line}"}
    assert faults(changed) == ["these modules import each other: transforms.base.batches transforms.base.guard"]
