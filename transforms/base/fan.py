"""Several inputs at once, and several outputs with names."""

import keyword
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.pvalue import PCollection

from .guard import RESERVED

__all__ = ["FanIn", "branch_names", "named_inputs"]


class FanIn:
    """Mix-in for transforms of several inputs: Beam itself would take a list of PCollections for data."""

    def _extract_input_pvalues(self, inputs: Any) -> Any:
        if isinstance(inputs, list):
            return inputs, {str(i): stream for i, stream in enumerate(inputs)}
        return super()._extract_input_pvalues(inputs)  # type: ignore[misc]


def named_inputs(inputs: Any, pattern: str) -> dict[str, PCollection]:
    """The inputs of a fan-in by name: a dict's key, a NamedTuple's field, or the number of the input."""
    if isinstance(inputs, Mapping):
        named = {str(name): stream for name, stream in inputs.items()}
    elif isinstance(inputs, tuple | list):
        names = getattr(inputs, "_fields", None) or map(str, range(len(inputs)))
        named = dict(zip(names, inputs, strict=True))
    else:
        named = {}
    if not named or not all(isinstance(stream, PCollection) for stream in named.values()):
        raise TypeError(
            f"{pattern} takes a tuple, list, dict or NamedTuple of PCollections, not {inputs!r}; "
            f"write `(a, b) | {pattern}(...)`"
        )
    return named


def branch_names(names: Sequence[str], pattern: str, least: int = 2) -> tuple[str, ...]:
    """The checked names of a fan-out's outputs: they become fields of a NamedTuple and names of counters."""
    if len(names) < least:
        raise ValueError(f"{pattern} needs at least {least} branches, got {len(names)}: {', '.join(map(repr, names))}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{pattern}: the name of a branch is a string, not {name!r}")
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name in RESERVED:
            raise ValueError(
                f"{pattern}: {name!r} can't be the name of a branch; use a Python name without a leading underscore "
                f"that is neither a keyword nor one of {', '.join(RESERVED)}"
            )
        if list(names).count(name) > 1:
            raise ValueError(f"{pattern}: two branches have the name {name!r}; give each branch a name of its own")
    return tuple(names)
