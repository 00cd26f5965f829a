"""Options of a pipeline, declared once: the command line, the help, the docs and templates are made from them."""

import argparse
import dataclasses
import difflib
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform

from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.transforms.queues import open_queue, queue_under

__all__ = [
    "Option",
    "Options",
    "any_source",
    "duration",
    "option",
    "options_of",
    "page",
    "prefix",
    "queue",
    "queues",
    "source",
    "sources",
    "switch",
]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option, besides its name and default."""

    help: str
    example: str
    type: Callable[[str], Any] = str
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    def parse(self, name: str, text: str) -> Any:
        """The value of a text. Raises ValueError with the option, the text and an example."""
        try:
            value = self.type(text)
        except ValueError as error:
            reason = f"{self._shown(text)} is not {_ARTICLE[self.type]}" if self.type in _ARTICLE else str(error)
            raise ValueError(f"--{name}: {reason}; write, for example, --{name} {self.example}") from None
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError(f"--{name}: {self._shown(text)} does not have the form of {self.example}")
        if self.choices and text not in self.choices:
            raise ValueError(f"--{name}: {self._shown(text)} is not one of {', '.join(self.choices)}")
        return value

    def _shown(self, text: str) -> str:
        return "the given value" if self.secret else repr(text)


def option(help: str, *, example: str, default: Any = dataclasses.MISSING, **rest: Any) -> Any:
    """A field of an Options class; required if it has no default.

    >>> class Mail(Options):
    ...     \"\"\"Sends a mail.\"\"\"
    ...     to: str = option("The recipient.", example="ann@example.com")
    ...     copies: int = option("Number of copies.", example="2", type=int, default=1)
    >>> mail, others = Mail.parse(["--to", "ann@example.com", "--copies=3"])
    >>> mail.to, mail.copies
    ('ann@example.com', 3)
    """
    return dataclasses.field(default=default, metadata={"option": Option(help=help, example=example, **rest)})


def queue(text: str) -> str:
    """The type of an option that names a queue of messages."""
    if not open_queue(text).holds_messages:
        raise ValueError(
            f"{text!r} names files as items, not messages; messages are in .jsonl, .csv and .parquet files"
        )
    return text


def source(text: str) -> str:
    """The type of an option that names a queue to read from."""
    return any_source(queue(text))


def any_source(text: str) -> str:
    """The type of an option that names a queue of items to work on, which may be files: /videos/*.mp4."""
    open_queue(text).check_readable()
    return text


def queues(text: str) -> tuple[str, ...]:
    """The type of an option that names one or several queues, with spaces between them."""
    return tuple(map(queue, _split(text, least=1)))


def sources(text: str) -> tuple[str, ...]:
    """The type of an option that names several queues to read from."""
    return tuple(map(source, _split(text, least=2)))


def prefix(text: str) -> str:
    """The type of an option that is the beginning of the names of queues."""
    queue(queue_under(text, "name"))
    return text


def duration(text: str) -> timedelta:
    """The type of an option that is a duration: 90s, 15m, 12h, 7d."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    with suppress(OverflowError):
        if found:
            return timedelta(**{_UNITS[found[2]]: float(found[1])})
    raise ValueError(f"{text!r} is not a duration")


def page(text: str) -> str:
    """The type of an option that names a local file, written at the end of a run."""
    if Path(text).is_dir():
        raise ValueError(f"{text!r} is a folder; name a file in it")
    if not os.access(Path(text).parent, os.W_OK):
        raise ValueError(f"{text!r} can't be written; name a file in a folder that exists and that you may write to")
    return text


def switch(text: str) -> bool:
    """The type of an option that is on or off; without a value it is on."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _split(text: str, least: int) -> list[str]:
    found = text.split()
    if len(found) < least:
        raise ValueError(f"{text!r} names {len(found)} queues, not {least} or more; put spaces between them")
    return found


_ARTICLE = {int: "a whole number", float: "a number"}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class _Declared:
    """Makes a frozen dataclass of each subclass, as type checkers understand it too."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fields = vars(dataclasses.dataclass(frozen=True, kw_only=True)(cls))["__dataclass_fields__"]
        first = {*getattr(cls, "_common", ()), *inspect.get_annotations(cls)}
        for name in [name for name in fields if name not in first]:  # In --help, options of a base come last.
            fields[name] = fields.pop(name)


class Options(_Declared):
    """The options of every pipeline. A pipeline's own class adds its fields; its docstring is the summary."""

    runner: str = option(
        "Where the pipeline runs; options of that runner (--project, --flink_master ...) are passed on to it.",
        example="PrismRunner",
        default="DirectRunner",
    )
    streaming: bool = option("Read without end.", example="true", type=switch, default=False)
    quiet: bool = option("Show no progress and no balance, only errors.", example="true", type=switch, default=False)
    traceback: bool = option("Show an error with its traceback.", example="true", type=switch, default=False)

    report: str = option("The HTML file for a page about the run.", example="report.html", type=page, default="")

    #: Names of this class's own fields, for --help.
    _common: ClassVar[tuple[str, ...]] = ("runner", "streaming", "quiet", "traceback", "report")

    #: Whether --streaming makes sense: some results exist only when everything has been read.
    streams: ClassVar[bool] = True
    #: Whether results are totals, which an element that is processed twice would falsify.
    totals: ClassVar[bool] = False
    #: Why the pipeline can't run on Dataflow, where workers share no folder; empty if it can.
    local: ClassVar[str] = ""

    def check(self) -> None:
        """Raises ValueError for values that make no sense together."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> tuple[Self, list[str]]:
        """The options of a command line, and the arguments for Beam's runner. Raises ValueError in one sentence."""
        given, others = _collected(cls, argv)
        _refuse_unknown(cls, others)
        _refuse_missing(cls, given)
        parsed = cls(**{name: options_of(cls)[name].parse(name, text) for name, text in given.items()})
        parsed.check()
        if parsed.streaming and not cls.streams:
            raise ValueError("--streaming: this pipeline ends when everything has been read; leave it out")
        return parsed, others

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Declares all options to argparse, or to Beam in a PipelineOptions' `_add_argparse_args`."""
        own = parser.add_argument_group("this pipeline")
        common = parser.add_argument_group("every pipeline")
        for field in dataclasses.fields(cls):
            (common if field.name in cls._common else own).add_argument(f"--{field.name}", **_argument(field))


def options_of(cls: type[Options]) -> dict[str, Option]:
    """All options of a class by name."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(cls)}


def _argument(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    about: Option = field.metadata["option"]
    note = ""
    if field.default is dataclasses.MISSING:
        note = " (required)"
    elif field.default and not about.secret:
        note = f" (default: {shown(field.default)})"
    once: dict[str, Any] = {"nargs": "?", "const": "true"} if about.type is switch else {}
    example = f"Example: --{field.name}" + ("" if about.type is switch else f" {about.example}")
    return {
        "help": "\n".join([*textwrap.wrap(about.help + note, 90), example, " "]).replace("%", "%%"),
        "default": argparse.SUPPRESS,
        "metavar": "true" if about.type is switch else field.name.upper(),
        **once,
    }


def shown(value: Any) -> str:
    """A value as written on a command line.

    >>> shown(timedelta(days=7)), shown(("memory://a", "memory://b")), shown({"a": "x > 1", "b": "x < 1"})
    ('7d', 'memory://a memory://b', 'a: x > 1; b: x < 1')
    """
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {text}" for name, text in value.items())
    if not isinstance(value, timedelta):
        return "" if value is None else str(value)
    unit = next(unit for unit in "dhms" if not value % timedelta(**{_UNITS[unit]: 1}))
    return f"{value // timedelta(**{_UNITS[unit]: 1})}{unit}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message.replace("argument --", "--"))


def _collected(cls: type[Options], argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    required = [field for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    parser = _Parser(
        usage=" ".join([_program(cls), *(f"--{field.name} {field.name.upper()}" for field in required), "[...]"]),
        description=cls.__doc__,
        epilog="A queue is named by a URI: sqlite:///path/queues.db?topic=NAME&group=NAME, "
        "kafka://host:port/topic?group=NAME, or a path such as /data/*.jsonl.",
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    cls.add_arguments(parser)
    given, others = parser.parse_known_args(list(argv))
    return vars(given), others


def _program(cls: type[Options]) -> str:
    package, _, name = cls.__module__.rpartition(".")
    return f"beam-patterns run {name}" if package == "beam_patterns.pipelines" else name


def _refuse_unknown(cls: type[Options], others: list[str]) -> None:
    """Raises ValueError for an argument that is neither an option of ours nor of one of Beam's runners."""
    beam_parser = _beam_parser()
    _, unknown = beam_parser.parse_known_args(others)
    if not unknown:
        return
    flag = unknown[0].partition("=")[0]
    known = [f"--{name}" for name in options_of(cls)]
    near = difflib.get_close_matches(flag, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "--help lists all parameters"
    raise ValueError(f"unknown parameter {flag}; {hint}")


def _beam_parser() -> argparse.ArgumentParser:
    parser: Any = _Parser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        if options.__module__.startswith(("apache_beam.", f"{__package__}.")):
            options._add_argparse_args(parser)
    return parser


def _refuse_missing(cls: type[Options], given: dict[str, str]) -> None:
    missing = [f for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in given]
    if missing:
        example = " ".join(f"--{field.name} {field.metadata['option'].example}" for field in missing)
        raise ValueError(f"missing {', '.join('--' + f.name for f in missing)}; write, for example, {example}")
