"""beam-patterns new NAME: writes the user's own pipeline."""

import argparse
import importlib.util
import keyword
import sys
from collections.abc import Sequence
from pathlib import Path

from beam_patterns.pipelines.cli.templates import metadata_text

from .scaffold.my_flow import MyFlowOptions

__all__ = ["main"]

_SCAFFOLD = Path(__file__).parent / "scaffold"
_NEXT_STEPS = """\
Wrote {files} to {folder}. In this folder:

    python -m pytest test_{name}.py    runs its test; needs pytest
    python {name}.py --help            shows its options

{name}.json describes it as a Flex Template of Dataflow. When its options have changed:

    beam-patterns template {name}.py --metadata --output {name}.json"""


def main(argv: Sequence[str]) -> int:
    """Writes the files and prints what to do next. Raises ValueError, in one sentence, if it writes nothing."""
    parser = argparse.ArgumentParser(
        "beam-patterns new",
        description="Writes a working pipeline to start from: its options, its test and its template's metadata.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="the name of the pipeline and its module, such as my_flow")
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=Path(), help="default: the current folder")
    try:
        given = parser.parse_args(argv)
    except SystemExit as error:
        return int(error.code or 0)
    _check_name(given.name)
    files = _write(given.name, given.into)
    print(_NEXT_STEPS.format(name=given.name, folder=given.into.absolute(), files=", ".join(files)))
    return 0


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith(("_", "test_")):
        raise ValueError(f"{name!r} can't name a pipeline; use letters, digits and underscores, such as my_flow")
    if name in sys.stdlib_module_names or _is_installed(name):
        raise ValueError(f"{name!r} is the name of an existing module; use another name, such as my_{name}")


def _is_installed(name: str) -> bool:
    """Whether a module of this name is anywhere but in the current folder, whose files `_write` checks."""
    found = importlib.util.find_spec(name)
    places = [] if found is None else [found.origin] if found.origin else list(found.submodule_search_locations or ())
    return any(Path(place).parent != Path().absolute() for place in places)


def _write(name: str, folder: Path) -> list[str]:
    texts = {
        f"{name}.py": (_SCAFFOLD / "my_flow.py").read_text(encoding="utf-8"),
        f"test_{name}.py": (_SCAFFOLD / "test_my_flow.py").read_text(encoding="utf-8"),
        f"{name}.json": metadata_text("my_flow", MyFlowOptions),
    }
    existing = [file for file in texts if (folder / file).exists()]
    if existing:
        raise ValueError(f"{folder / existing[0]} already exists, so nothing was written; use another name or folder")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(_renamed(text, name), encoding="utf-8")
    return list(texts)


def _renamed(text: str, name: str) -> str:
    class_name = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    title = name.replace("_", " ").capitalize()
    return text.replace("MyFlow", class_name).replace("my_flow", name).replace("My flow", title)
