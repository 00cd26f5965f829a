"""Expressions in CEL, Google's Common Expression Language: from parameters, checked when they are read."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

__all__ = ["ANYTHING", "CONDITION", "KEY", "Expression", "Kind", "bound"]

#: 1:21: Syntax error: mismatched input '<EOF>' expecting {...
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.+)")
_NOISE = re.compile(r" expecting .*| \(in container ''\)| \[[A-Z_]+\]")


class Kind(NamedTuple):
    """What an expression is for, and what it must answer."""

    name: str
    types: tuple[str, ...]
    """As CEL calls them; none for any."""
    said: str
    """The same for people."""


CONDITION = Kind("condition", ("BOOL",), "true or false")
ANYTHING = Kind("value", (), "anything")
KEY = Kind("key", ("STRING", "INT", "UINT"), "text or a whole number")


class Expression:
    """A text in CEL over named values.

    >>> slow = Expression('error_type == "TimeoutError" && attempts < 5', {"error_type": "STRING", "attempts": "INT"})
    >>> slow({"error_type": "TimeoutError", "attempts": 3})
    True
    >>> Expression("attempts <", {"attempts": "INT"})
    Traceback (most recent call last):
    ValueError: 'attempts <' can't be understood at character 11: Syntax error: mismatched input '<EOF>'

    Args:
        text: the expression; see https://cel.dev.
        variables: the names it may use with their types, as CEL calls them: STRING, INT, BOOL, TIMESTAMP, DYN, ...
        kind: what it must answer; what can't be known before is checked with each answer.
    """

    def __init__(self, text: str, variables: Mapping[str, str], kind: Kind = CONDITION) -> None:
        self._text, self._variables, self._kind = text, dict(variables), kind
        self._expression = self._compiled()

    def __str__(self) -> str:
        return self._text

    def __call__(self, values: Any) -> Any:
        """Its answer for a dict of values, or `bound` ones; a ValueError where they give none: a key is not there."""
        answer = self._expression.eval(data=values) if isinstance(values, dict) else self._expression.eval(values)
        type_name = answer.type().name()
        if type_name == "ERROR":
            raise ValueError(str(answer.value()).partition(": ")[2].replace(" : ", ": ", 1))
        if self._kind.types and type_name not in self._kind.types:
            raise ValueError(self._is_none(type_name))
        return answer.value()

    @property
    def asked(self) -> frozenset[str]:
        """Which of the variables it asks about.

        >>> sorted(Expression('a == "b"', {"a": "STRING", "b": "STRING"}).asked)
        ['a']
        """
        return frozenset(name for name in self._variables if not self._does_without(name))

    def _does_without(self, name: str) -> bool:
        try:
            self._compiled(without=name)
        except ValueError:
            return False
        return True

    def _compiled(self, without: str = "") -> Any:
        from cel_expr_python import cel  # Here, as most pipelines have no expressions.

        types = {name: _type(cel.Type, kind) for name, kind in self._variables.items() if name != without}
        try:
            expression = cel.NewEnv(variables=types).compile(self._text)
        except RuntimeError as error:
            raise ValueError(f"{self._text!r} can't be understood{_said(str(error))}") from None
        type_name = expression.return_type().name()
        if self._kind.types and type_name not in (*self._kind.types, "DYN"):
            raise ValueError(self._is_none(type_name))
        return expression

    def _is_none(self, type_name: str) -> str:
        return f"{self._text!r} is no {self._kind.name}: it is of type {type_name}, not {self._kind.said}"

    def __getstate__(self) -> Any:
        return self._text, self._variables, self._kind

    def __setstate__(self, state: Any) -> None:
        self._text, self._variables, self._kind = state
        self._expression = self._compiled()


def bound(values: Mapping[str, Any]) -> Any:
    """Values by name, converted once for all expressions that are asked about them; no times are among them."""
    return _environment().Activation(values)


@cache
def _environment() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv()


def _type(types: Any, kind: str) -> Any:
    return types.Map(types.STRING, types.STRING) if kind == "MAP" else getattr(types, kind)


def _said(error: str) -> str:
    found = _PLACE.search(error)
    if not found:
        return f": {_NOISE.sub('', error)}"
    line, column, text = found.groups()
    where = f"at character {column}" if line == "1" else f"at line {line}, character {column}"
    return f" {where}: {_NOISE.sub('', text)}"
