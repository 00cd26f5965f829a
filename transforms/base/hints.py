"""Beam's types from Python's annotations."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import trivial_inference
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type


def return_hint(function: Any) -> Any:
    """The return annotation of a function, a class or a callable object; None without one.

    >>> return_hint(len), return_hint(str), return_hint(return_hint)
    (None, <class 'str'>, typing.Any)
    """
    if inspect.isclass(function):
        return function
    annotated = function if inspect.isroutine(function) or hasattr(function, "__name__") else type(function).__call__
    try:
        return typing.get_type_hints(annotated).get("return")
    except Exception:  # The annotation has a name that only type checkers know.
        return None


def return_type(function: Callable[[Any], Any], element_type: Any = AnyType) -> Any:
    """The Beam type of a function's result: its annotation, otherwise what Beam infers from its code."""
    hint = return_hint(function)
    return trivial_inference.infer_return_type(function, [element_type]) if hint is None else beam_type(hint)


def beam_type(hint: Any) -> Any:
    """Beam's type for an annotation; Any for None, which stands for a missing annotation."""
    if hint is None:
        return AnyType
    converted = convert_to_beam_type(hint)
    return type(None) if converted is None else converted
