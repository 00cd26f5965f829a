"""Which pipelines there are: our own, those of installed packages, and any module or file with a `run`."""

import ast
import difflib
import importlib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .script import hush_imports, module_at

__all__ = ["module_of", "pipelines"]

#: Entry points of this group add pipelines: `my_flow = "my_package.my_flow"`.
_GROUP = "beam_patterns.pipelines"
_HERE = Path(__file__).parent.parent


def pipelines() -> dict[str, str]:
    """All pipelines with their summary lines, read without importing them: Beam takes seconds."""
    found = {file.stem: file for file in sorted(_HERE.glob("[!_]*.py"))}
    for point in entry_points(group=_GROUP):
        spec = find_spec(point.value)
        if spec is not None and spec.origin:
            found.setdefault(point.name, Path(spec.origin))
    return {name: _summary(file) for name, file in found.items()}


def module_of(name: str) -> ModuleType:
    """The module of a pipeline: one of `pipelines()`, a file's path, or a module's dotted name.

    Raises ValueError if there is none.
    """
    if name.endswith(".py"):
        hush_imports()
        return module_at(name)
    installed = {point.name: point.value for point in entry_points(group=_GROUP)}
    if name not in pipelines() and "." not in name:
        near = difflib.get_close_matches(name, pipelines(), n=1)
        hint = f"did you mean {near[0]}?" if near else "see beam-patterns list"
        raise ValueError(f"there is no pipeline {name!r}; {hint}")
    hush_imports()
    is_own = (_HERE / f"{name}.py").exists()
    return _imported(f"beam_patterns.pipelines.{name}" if is_own else installed.get(name, name))


def _imported(name: str) -> ModuleType:
    try:
        found = find_spec(name)
    except ImportError as error:
        raise ValueError(f"there is no pipeline {name!r}: {error}; install its package") from None
    if found is None:
        raise ValueError(f"there is no module {name!r}; install its package")
    module = importlib.import_module(name)
    if not callable(getattr(module, "run", None)):
        raise ValueError(f"the module {name!r} is not a pipeline: it has no function run(argv)")
    return module


def _summary(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]
