"""Expressions in CEL, Google's Common Expression Language, given as text and checked before anything runs."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Literal

__all__ = ["Expression", "Kind", "bound", "check_text"]

#: 1:21: Syntax error: mismatched input '<EOF>' expecting {...
_PLACE = re.compile(r"<input>:(\d+):(\d+): (Syntax error: )?(.+)")
_NOISE = re.compile(r" expecting .*| \(in container ''\)| \[[A-Z_]+\]")
_SCALARS: dict[Any, str] = {str: "STRING", int: "INT", float: "DOUBLE", bool: "BOOL", bytes: "BYTES"}
_TYPES = {**_SCALARS, datetime: "TIMESTAMP", Any: "DYN"}
Kind = Literal["condition", "key", "value"]
#: The types that the value of an expression may have, as CEL names them and in plain words; none for any type.
_KINDS: dict[Kind, tuple[tuple[str, ...], str]] = {
    "condition": (("BOOL",), "true or false"),
    "key": (("STRING", "INT", "UINT"), "text or a whole number"),
    "value": ((), "anything"),
}


class Expression:
    """A CEL text that is evaluated on named variables.

    >>> slow = Expression('error_type == "TimeoutError" && attempts < 5', {"error_type": str, "attempts": int})
    >>> slow({"error_type": "TimeoutError", "attempts": 3})
    True
    >>> Expression("attempts <", {"attempts": int})
    Traceback (most recent call last):
    ValueError: syntax error in 'attempts <' at character 11: mismatched input '<EOF>'

    Args:
        text: the expression; see https://cel.dev.
        variables: Python types of the variables by name: str, int, float, bool, bytes, datetime, dict[str, str] or Any.
        kind: what the value is used for: a condition is true or false, a key is text or a whole number, a value is
            anything. A type that is not known in advance is checked on each evaluation.
    """

    def __init__(self, text: str, variables: Mapping[str, Any], kind: Kind = "condition") -> None:
        self._text, self._variables, self._kind = text, dict(variables), kind
        self._types, self._expected = _KINDS[kind]
        self._program = self._compiled(self._variables)

    def __str__(self) -> str:
        return self._text

    def __call__(self, variables: Any) -> Any:
        """Returns the value, with tuples for lists. Raises ValueError if it has no value, as for a missing key.

        Args:
            variables: a dict, or what `bound` made of one.
        """
        if isinstance(variables, dict):
            for name in self.used_variables:
                check_text(name, variables[name])
            result = self._program.eval(data=variables)
        else:
            result = self._program.eval(variables)
        type_name = result.type().name()
        if type_name == "ERROR":
            raise ValueError(str(result.value()).partition(": ")[2].replace(" : ", ": ", 1))
        if not self._types:
            return _python(result)
        if type_name not in self._types:
            raise self._wrong_type(type_name)
        return result.value()

    @cached_property
    def used_variables(self) -> list[str]:
        """Names of the variables that the text uses, sorted.

        >>> Expression('a == "b"', {"a": str, "b": str}).used_variables
        ['a']
        """
        return [name for name in sorted(self._variables) if self._uses(name)]

    @property
    def value_type(self) -> Any:
        """The value's type: str, int, float, bool or bytes; Any if it is another, or not known in advance."""
        types = {cel: python for python, cel in _SCALARS.items()}
        return types.get(self._program.return_type().name(), Any)

    def _uses(self, name: str) -> bool:
        try:
            self._compiled({other: kind for other, kind in self._variables.items() if other != name})
        except ValueError:
            return True
        return False

    def _compiled(self, variables: Mapping[str, Any]) -> Any:
        from cel_expr_python import cel  # Imported here because most pipelines have no expressions.

        types = {name: _cel_type(cel.Type, kind) for name, kind in variables.items()}
        try:
            program = cel.NewEnv(variables=types).compile(self._text)
        except RuntimeError as error:
            raise ValueError(_explained(self._text, str(error))) from None
        type_name = program.return_type().name()
        if self._types and type_name not in (*self._types, "DYN"):
            raise self._wrong_type(type_name)
        return program

    def _wrong_type(self, type_name: str) -> ValueError:
        return ValueError(f"{self._text!r} is not a {self._kind}: its type is {type_name}, not {self._expected}")

    def __getstate__(self) -> Any:
        return self._text, self._variables, self._kind

    def __setstate__(self, state: Any) -> None:
        Expression.__init__(self, *state)


def bound(variables: Mapping[str, Any]) -> Any:
    """The variables, converted once for all expressions that are evaluated on them. They can't contain times."""
    return _environment().Activation(variables)


def check_text(name: str, value: Any) -> None:
    """Raises ValueError if a value contains text that CEL would cut off.

    >>> check_text("item", {"tags": ["a", "b\\0c"]})
    Traceback (most recent call last):
    ValueError: item contains the character U+0000, at which CEL would cut its text off
    """
    if _has_zero(value):
        raise ValueError(f"{name} contains the character U+0000, at which CEL would cut its text off")


def _has_zero(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_has_zero, value)) or any(map(_has_zero, value.values()))
    return isinstance(value, list) and any(map(_has_zero, value))


@cache
def _environment() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv()


def _cel_type(types: Any, python_type: Any) -> Any:
    if python_type == dict[str, str]:
        return types.Map(types.STRING, types.STRING)
    return getattr(types, _TYPES[python_type])


def _explained(text: str, error: str) -> str:
    found = _PLACE.search(error)
    if not found:
        return f"error in {text!r}: {_NOISE.sub('', error)}"
    line, column, syntax, reason = found.groups()
    place = f"character {column}" if line == "1" else f"line {line}, character {column}"
    return f"{'syntax error' if syntax else 'error'} in {text!r} at {place}: {_NOISE.sub('', reason)}"


def _python(value: Any) -> Any:
    """A CEL value as a Python value. Elements of CEL's lists and maps are still CEL values."""
    if hasattr(value, "type"):
        value = value.value()
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, list | tuple):
        return tuple([_python(part) for part in value])
    if isinstance(value, dict):
        return {_python(key): _python(part) for key, part in value.items()}
    return value
