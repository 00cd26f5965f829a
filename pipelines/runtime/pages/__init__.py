"""HTML pages from Jinja2 templates: one environment, one base template and one style sheet for all pages.

A template is next to the code that fills it in, and is named by its path below `pipelines`: `report/run.html`.
"""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from beam_patterns.transforms.extend import replaced_file

__all__ = ["write_page"]

#: Characters that browsers don't show, that change the direction of the text around them, or that UTF-8 can't encode.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def write_page(path: Path, template: str, **values: Any) -> None:
    """Writes a page, complete or not at all. Whatever the values contain is shown as text."""
    page = _environment().get_template(template).render(values)
    with replaced_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def visible(value: Any) -> Any:
    r"""A text or bytes with invisible characters as escapes; any other value as it is.

    >>> print(visible("invoice\u202egnp.exe"), visible(b"caf\xc3\xa9 \xff\x00"))
    invoice\u202egnp.exe café \xff\x00
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _INVISIBLE.sub(_escape, value)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[2]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "thousands": "{:,}".format,
        # The alphabet of base64 has no character of HTML's, so the payloads' many megabytes are not escaped.
        "base64": lambda data: Markup(b64encode(data).decode()),  # noqa: S704
        "sha256": lambda text: Markup(b64encode(sha256(text.encode()).digest()).decode()),  # noqa: S704
    }
    return environment
