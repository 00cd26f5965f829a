"""The provider listing: what Beam YAML has to know to find the patterns; and the reference of what they take."""

import inspect
import re
from typing import Any

import apache_beam as beam

from beam_patterns.pipelines import beam_yaml

__all__ = ["TRANSFORMS", "providers", "reference"]

#: Beam's own Filter looks for its language here.
_NAMES = {"Filter": "Filter-cel"}
#: The transforms by the name that a YAML pipeline's `type` has.
TRANSFORMS: dict[str, type[beam.PTransform]] = {
    _NAMES.get(name, name): getattr(beam_yaml, name) for name in beam_yaml.__all__
}

_LISTING_HEAD = """\
# The patterns for Beam YAML, made by `make templates`; `beam-patterns providers` prints it. In a pipeline:
#
#   providers:
#     - include: providers.yaml
#
- type: python
  config: {}
  transforms:
"""
_REFERENCE_HEAD = """\
# The transforms of a YAML pipeline

Made by `make templates` of what each declares; [yaml.md](yaml.md) explains how they are used.
"""


def providers() -> str:
    """The listing, a YAML file."""
    names = {name: f"{beam_yaml.__name__}.{kind.__name__}" for name, kind in TRANSFORMS.items()}
    return _LISTING_HEAD + "".join(f"    {name}: {where}\n" for name, where in names.items())


def reference() -> str:
    """The page about all transforms."""
    return "\n".join([_REFERENCE_HEAD, *map(_section, TRANSFORMS.values())])


def _section(kind: type[beam.PTransform]) -> str:
    text, _, arguments = inspect.getdoc(kind).partition("\n\nArgs:\n")  # type: ignore[union-attr]
    rows = ["| config | what it says | default |", "|---|---|---|"]
    defaults = inspect.signature(kind.__init__).parameters
    for name, said in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, flags=re.M):
        told = re.sub(r"\s+", " ", said).replace("|", "\\|")
        rows.append(f"| `{name}` | {told[0].upper()}{told[1:]} | {_default(defaults[name].default)} |")
    table = "\n".join(rows) + "\n" if arguments else ""
    return f"## {kind.__name__}\n\n{text}\n\n{table}".rstrip() + "\n"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value in (None, "", ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"
