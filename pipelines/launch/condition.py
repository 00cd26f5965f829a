"""Conditions in CEL, Google's Common Expression Language: from parameters, checked when they are read."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Condition"]

#: 1:21: Syntax error: mismatched input '<EOF>' expecting {...
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.+)")
_NOISE = re.compile(r" expecting .*| \(in container ''\)| \[INVALID_ARGUMENT\]")


class Condition:
    """A condition on named values, as text.

    >>> slow = Condition('error_type == "TimeoutError" && attempts < 5', {"error_type": "STRING", "attempts": "INT"})
    >>> slow({"error_type": "TimeoutError", "attempts": 3})
    True
    >>> Condition("attempts <", {"attempts": "INT"})
    Traceback (most recent call last):
    ValueError: 'attempts <' can't be understood at character 11: Syntax error: mismatched input '<EOF>'

    Args:
        text: the expression; see https://cel.dev.
        variables: the names it may use with their types, as CEL calls them: STRING, INT, BOOL, TIMESTAMP, DYN, ...
    """

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text, self._variables = text, dict(variables)
        self._expression = self._compiled()

    def __str__(self) -> str:
        return self._text

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds; a ValueError where these values give no answer, such as a key that is not there."""
        answer = self._expression.eval(data=values)
        if answer.type().name() == "ERROR":
            raise ValueError(str(answer.value()).partition(": ")[2])
        return answer.value()

    def _compiled(self) -> Any:
        from cel_expr_python import cel  # Here, as most pipelines have no conditions.

        types = {name: _type(cel.Type, kind) for name, kind in self._variables.items()}
        try:
            expression = cel.NewEnv(variables=types).compile(self._text)
        except RuntimeError as error:
            raise ValueError(f"{self._text!r} can't be understood {_said(str(error))}") from None
        self._check(expression.return_type().name())
        return expression

    def _check(self, kind: str) -> None:
        if kind not in ("BOOL", "DYN"):
            raise ValueError(f"{self._text!r} is no condition: it is of type {kind}, not true or false")

    def __getstate__(self) -> Any:
        return self._text, self._variables

    def __setstate__(self, state: Any) -> None:
        self._text, self._variables = state
        self._expression = self._compiled()


def _type(types: Any, kind: str) -> Any:
    return types.Map(types.STRING, types.STRING) if kind == "MAP" else getattr(types, kind)


def _said(error: str) -> str:
    found = _PLACE.search(error)
    if not found:
        return f": {error}"
    line, column, text = found.groups()
    where = f"at character {column}" if line == "1" else f"at line {line}, character {column}"
    return f"{where}: {_NOISE.sub('', text)}"
