"""Several inputs at once, and several outputs with names."""

import keyword
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows

from .guard import DEAD, RESERVED

#: Names of counters that every pattern may have, and of the output for dead letters.
_TAKEN = (*RESERVED, "duplicates", DEAD)


class FanIn:
    """Mix-in for transforms of several inputs: Beam itself would treat a list of PCollections as data."""

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
    is_complete = named and len(named) == len(inputs)  # Otherwise two keys of a dict are the same text.
    if not is_complete or not all(isinstance(stream, PCollection) for stream in named.values()):
        raise TypeError(
            f"{pattern} needs a tuple, list, dict or NamedTuple of PCollections, with different names, not {inputs!r}; "
            f"write `(a, b) | {pattern}(...)`"
        )
    return named


def require_finite_windows(streams: Mapping[str, PCollection], pattern: str) -> None:
    """Raises ValueError for an unbounded input in the global window, whose end never comes."""
    for name, stream in streams.items():
        windowing = stream.windowing
        if not stream.is_bounded and isinstance(windowing.windowfn, GlobalWindows) and windowing.is_default():
            raise ValueError(
                f"{pattern}: the input {name or stream} is unbounded and in the global window, which never ends; "
                "put `beam.WindowInto(FixedWindows(60))` before it"
            )


class _Branches:
    """Mix-in for a named tuple whose names may be any text: `split["e-mail"]`."""

    _fields: tuple[str, ...]

    def __getitem__(self, place: Any) -> Any:
        if not isinstance(place, str):
            return super().__getitem__(place)  # type: ignore[misc]
        if place not in self._fields:
            raise KeyError(f"no branch is named {place!r}; the branches are {', '.join(map(repr, self._fields))}")
        return super().__getitem__(self._fields.index(place))  # type: ignore[misc]


def branches(kind: str, names: Sequence[str], outputs: Sequence[Any], result: type[Any] | None) -> Any:
    """Outputs by name: as the class that the user wants, otherwise as a named tuple of our own."""
    if result is not None:
        return result(**dict(zip(names, outputs, strict=True)))
    fields = namedtuple(kind, names, rename=True)  # type: ignore[misc]  # Names that are not Python names get others.
    return type(kind, (_Branches, fields), {"_fields": tuple(names)})(*outputs)


def branch_names(names: Sequence[str], pattern: str, least: int = 2, *, any_text: bool = False) -> tuple[str, ...]:
    """The checked names of a fan-out's branches: any text, as keys in data are, or Python names only."""
    if len(names) < least:
        raise ValueError(f"{pattern} needs at least {least} branches, got {len(names)}: {', '.join(map(repr, names))}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{pattern}: the name of a branch is a string, not {name!r}")
        is_attribute = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
        if name in _TAKEN or not (name if any_text else is_attribute):
            form = "any text that is not empty" if any_text else "a Python name without a leading underscore"
            raise ValueError(
                f"{pattern}: {name!r} can't be the name of a branch; use {form}, except {', '.join(_TAKEN)}"
            )
        if list(names).count(name) > 1:
            raise ValueError(f"{pattern}: two branches have the name {name!r}; give each branch a name of its own")
    return tuple(names)


def checked_result(result: Any, names: Sequence[str], pattern: str) -> Any:
    """A user's NamedTuple class for a fan-out's result. Raises TypeError unless its fields are the branches."""
    fields = getattr(result, "_fields", ())
    if not isinstance(result, type) or set(fields) != set(names):
        raise TypeError(
            f"{pattern}: with_result needs a NamedTuple class with the fields {', '.join(names)}, not {result!r} "
            f"({', '.join(fields) or 'without fields'})"
        )
    return result
