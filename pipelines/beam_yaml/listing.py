"""The provider listing, through which Beam YAML finds the patterns, and the reference page of their configuration."""

import inspect
import re
from typing import Any

import apache_beam as beam

from beam_patterns.pipelines import beam_yaml

__all__ = ["TRANSFORMS", "providers", "reference"]

#: The name under which Beam's own Filter looks for an implementation of its language.
_NAMES = {"Filter": "Filter-cel"}
#: The transforms by the `type` that a YAML pipeline gives them.
TRANSFORMS: dict[str, type[beam.PTransform]] = {
    _NAMES.get(name, name): getattr(beam_yaml, name) for name in beam_yaml.__all__
}

_LISTING_HEAD = """\
# The patterns for Beam YAML, written by `make templates`; `beam-patterns providers` prints this file. In a pipeline:
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

Written by `make templates` from the transforms' docstrings; [yaml.md](yaml.md) explains how to use them.
"""


def providers() -> str:
    """The listing, a YAML file."""
    names = {name: f"{beam_yaml.__name__}.{kind.__name__}" for name, kind in TRANSFORMS.items()}
    return _LISTING_HEAD + "".join(f"    {name}: {where}\n" for name, where in names.items())


def reference() -> str:
    """The reference page of all transforms."""
    return "\n".join([_REFERENCE_HEAD, *map(_section, TRANSFORMS.values())])


def _section(kind: type[beam.PTransform]) -> str:
    summary, _, arguments = inspect.getdoc(kind).partition("\n\nArgs:\n")  # type: ignore[union-attr]
    rows = ["| config | description | default |", "|---|---|---|"]
    defaults = inspect.signature(kind.__init__).parameters
    for name, lines in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, flags=re.M):
        text = re.sub(r"\s+", " ", lines).replace("|", "\\|")
        rows.append(f"| `{name}` | {text[0].upper()}{text[1:]} | {_default(defaults[name].default)} |")
    table = "\n".join(rows) + "\n" if arguments else ""
    return f"## {kind.__name__}\n\n{summary}\n\n{table}".rstrip() + "\n"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value in (None, "", ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"
