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
    return {
        **{name: _summary(file) for name, file in found.items()},
        **{name: _summary_of(module) for name, module in _installed().items() if name not in found},
    }


def module_of(name: str) -> ModuleType:
    """The module of a pipeline: one of `pipelines()`, a file's path, or a module's dotted name.

    Raises ValueError if there is none.
    """
    if name.endswith(".py"):
        hush_imports()
        return module_at(name)
    known = pipelines()
    if name not in known and "." not in name:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see beam-patterns list"
        raise ValueError(f"unknown pipeline {name!r}; {hint}")
    hush_imports()
    is_own = (_HERE / f"{name}.py").exists()
    return _imported(f"beam_patterns.pipelines.{name}" if is_own else _installed().get(name, name))


def _installed() -> dict[str, str]:
    """The modules of installed packages by the names of their pipelines."""
    return {point.name: point.value for point in entry_points(group=_GROUP)}


def _imported(name: str) -> ModuleType:
    try:
        found = find_spec(name)
    except ImportError as error:
        raise ValueError(f"the pipeline {name!r} can't be found: {error}; install its package") from None
    if found is None:
        raise ValueError(f"the module {name!r} does not exist; install its package")
    module = importlib.import_module(name)
    if not callable(getattr(module, "run", None)):
        raise ValueError(f"the module {name!r} is not a pipeline: it has no function run(argv)")
    return module


def _summary_of(module: str) -> str:
    try:
        spec = find_spec(module)
    except Exception as error:  # The packages above a module are imported, and may raise anything.
        return f"{module} can't be imported: {error}"
    return _summary(Path(spec.origin)) if spec is not None and spec.origin else f"the module {module} does not exist"


def _summary(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]
