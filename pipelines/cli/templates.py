"""beam-patterns template NAME, and `make templates`: files about pipelines, made from their options classes."""

import argparse
import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from beam_patterns.pipelines.beam_yaml import listing
from beam_patterns.transforms.queues import queue_kind

from ..runtime.options import Options
from .metadata import container_spec, metadata_of, options_class, table_of

__all__ = ["main", "metadata_text", "rendered"]

_HEAD = """\
# The pipelines' options

Made by `make templates` from what each pipeline declares, like its `--help`. All pipelines have `--runner`,
`--streaming`, `--report`, `--quiet` and `--traceback` too, and pass the options of a runner on to it.
"""


def main(module: ModuleType, argv: Sequence[str]) -> int:
    """Prints a template's container spec or metadata, or writes it to a file; returns the exit code."""
    name, kind = module.__name__.rpartition(".")[2], options_class(module)
    parser = argparse.ArgumentParser(
        f"beam-patterns template {name}",
        description="The container spec of a Dataflow Flex Template: upload it to Cloud Storage and run it from there.",
        allow_abbrev=False,
    )
    parser.add_argument("--image", help="the image in the registry, by tag or digest")
    parser.add_argument("--metadata", action="store_true", help="the metadata alone, without an image")
    parser.add_argument("--output", type=Path, help="a file; printed if left out")
    given = parser.parse_args(argv)
    if not given.image and not given.metadata:
        raise ValueError("template needs --image: the image in the registry, by tag or digest")
    text = metadata_text(name, kind) if given.metadata else _json(container_spec(name, kind, given.image))
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


def rendered(names: Sequence[str], root: Path) -> dict[str, str]:
    """All generated files of the repository at `root`, by their paths in it."""
    kinds = {name: _kind(name) for name in names}
    files = {f"templates/{n}.json": metadata_text(n, kind) for n, kind in kinds.items() if not kind.local}
    files["docs/options.md"] = "\n".join([_HEAD, *(_section(name, kind) for name, kind in kinds.items())])
    files |= {"templates/providers.yaml": listing.providers(), "docs/yaml-transforms.md": listing.reference()}
    return files | {"docs/queues.md": _with_parameters((root / "docs/queues.md").read_text(encoding="utf-8"))}


def _with_parameters(page: str) -> str:
    """The page with a table of parameters between each pair of markers."""
    return re.sub(r"(?s)(<!-- parameters of (\w+):// -->).*?(<!-- end of parameters -->)", _parameter_table, page)


def _parameter_table(markers: "re.Match[str]") -> str:
    head, scheme, end = markers.groups()
    lines = [head, "", "| parameter | what it is | default |", "|---|---|---|"]
    for name, help, default, _ in queue_kind(scheme).parameters:
        lines.append(f"| `{name}` | {help} | {'' if default in ('', None) else f'`{default}`'} |")
    return "\n".join([*lines, "", end])


def metadata_text(name: str, kind: type[Options]) -> str:
    """The metadata of a template as text."""
    return _json(metadata_of(name, kind))


def _section(name: str, kind: type[Options]) -> str:
    elsewhere = f"Not on Dataflow: {kind.local}.\n\n" if kind.local else ""
    return f"## {name}\n\n{kind.__doc__}\n\n{elsewhere}{table_of(kind)}\n"


def _kind(name: str) -> type[Options]:
    return options_class(importlib.import_module(f"beam_patterns.pipelines.{name}"))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from beam_patterns.pipelines.cli.known import pipelines

    for path, text in rendered(list(pipelines()), Path.cwd()).items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
