"""beam-patterns new NAME: a pipeline of the user's own."""

import argparse
import importlib.util
import keyword
import sys
from collections.abc import Sequence
from pathlib import Path

from beam_patterns.pipelines.cli.templates import metadata_text

from .scaffold.my_flow import MyFlowOptions

__all__ = ["main"]

_HERE = Path(__file__).parent / "scaffold"
_NEXT = """\
{folder} has {files} now. There:

    python -m pytest test_{name}.py    its test; it needs pytest
    python {name}.py --help            how it is run

{name}.json describes it as a Flex Template of Dataflow; when its options have changed:

    beam-patterns template {name}.py --metadata --output {name}.json"""


def main(argv: Sequence[str]) -> int:
    """Writes the files and says what to do next; a ValueError in one sentence if nothing was written."""
    parser = argparse.ArgumentParser(
        "beam-patterns new",
        description="Writes a pipeline that works, its options, its test and its template's metadata, to begin with.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="of the pipeline and its module, such as my_flow")
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=Path(), help="where to, if not here")
    try:
        given = parser.parse_args(argv)
    except SystemExit as error:
        return int(error.code or 0)
    files = _written(_checked(given.name), given.into)
    print(_NEXT.format(name=given.name, folder=given.into.absolute(), files=", ".join(files)))
    return 0


def _checked(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith(("_", "test_")):
        raise ValueError(f"{name!r} can't name a pipeline; take letters, digits and underscores, such as my_flow")
    if name in sys.stdlib_module_names or _is_installed(name):
        raise ValueError(f"{name!r} is the name of a module that is there already; take another, such as my_{name}")
    return name


def _is_installed(name: str) -> bool:
    """What lies in the current folder is no module of others; whether a file would be overwritten is seen later."""
    found = importlib.util.find_spec(name)
    places = [] if found is None else [found.origin] if found.origin else list(found.submodule_search_locations or ())
    return any(Path(place).parent != Path().absolute() for place in places)


def _written(name: str, folder: Path) -> list[str]:
    texts = {
        f"{name}.py": _named((_HERE / "my_flow.py").read_text(encoding="utf-8"), name),
        f"test_{name}.py": _named((_HERE / "test_my_flow.py").read_text(encoding="utf-8"), name),
        f"{name}.json": _named(metadata_text("my_flow", MyFlowOptions), name),
    }
    there = [file for file in texts if (folder / file).exists()]
    if there:
        raise ValueError(f"{folder / there[0]} is there already; nothing was written, take another name or folder")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return list(texts)


def _named(text: str, name: str) -> str:
    words = name.split("_")
    camel = "".join(word[:1].upper() + word[1:] for word in words)
    spoken = name.replace("_", " ").capitalize()
    return text.replace("MyFlow", camel).replace("my_flow", name).replace("My flow", spoken)
