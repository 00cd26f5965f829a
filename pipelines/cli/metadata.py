"""A pipeline's options as the metadata of a Flex Template, and as a table for people."""

import dataclasses
import inspect
import re
import shlex
import typing
from types import ModuleType
from typing import Any

from apache_beam.version import __version__ as beam_version

from beam_patterns.transforms.queues import queue_kind, queue_schemes

from ..runtime.options import (
    Option,
    Options,
    any_source,
    duration,
    prefix,
    queue,
    queues,
    shown,
    source,
    sources,
    switch,
)

__all__ = ["container_spec", "metadata_of", "options_class", "table_of"]

#: Queues that Dataflow's workers can reach, to read and to write; not a file or a database of one machine.
_REMOTE = [scheme for scheme in sorted(queue_schemes()) if queue_kind(scheme).is_remote(scheme)]
_REMOTE_QUEUE = rf"({'|'.join(_REMOTE)})://.+"
_REMOTE_QUEUES = rf"{_REMOTE_QUEUE}(\s+{_REMOTE_QUEUE})"
_REMOTE_PREFIX = rf"({'|'.join(scheme for scheme in _REMOTE if not queue_kind(scheme).is_readonly)})://[^?]+"
_REMOTE_EXAMPLE = "kafka://broker:9092/topic?group=name or pubsub://project/name"
_REGEXES: dict[Any, str] = {
    queue: _REMOTE_QUEUE,
    any_source: _REMOTE_QUEUE,
    source: _REMOTE_QUEUE,
    queues: f"{_REMOTE_QUEUES}*",
    sources: f"{_REMOTE_QUEUES}+",
    prefix: _REMOTE_PREFIX,
    duration: r"\d+(\.\d+)?[smhd]",
}
_QUEUES = frozenset(_REGEXES) - {duration}
_TYPES = {switch: "BOOLEAN", int: "NUMBER", float: "NUMBER"}
#: Options for terminals, or set by Dataflow itself.
_ELSEWHERE = frozenset({"runner", "quiet", "traceback", "report"})


def options_class(module: ModuleType) -> type[Options]:
    """The options class of a pipeline: the type of the second parameter of its `build`."""
    _, parameter = inspect.signature(module.build).parameters
    return typing.get_type_hints(module.build)[parameter]


def container_spec(name: str, kind: type[Options], image: str) -> dict[str, Any]:
    """The file in Cloud Storage that is a Flex Template: one image launches the job and runs its workers."""
    return {
        "image": image,
        "metadata": metadata_of(name, kind),
        "sdkInfo": {"language": "PYTHON", "version": beam_version},
        "defaultEnvironment": {"sdkContainerImage": image},
    }


def metadata_of(name: str, kind: type[Options]) -> dict[str, Any]:
    """The metadata of a Flex Template. Raises ValueError for a pipeline that is bound to one machine."""
    if kind.local:
        raise ValueError(f"{name} can't run on Dataflow: {kind.local}")
    return {
        "name": _label(name),
        "description": inspect.getdoc(kind),
        **_modes(kind),
        "parameters": [_parameter(field) for field in _fields(kind)],
    }


def _modes(kind: type[Options]) -> dict[str, Any]:
    if not kind.streams:
        return {"streaming": False}
    # Queues promise at least once in any case; within the job a repetition would only falsify a total.
    default = {} if kind.totals else {"defaultStreamingMode": "AT_LEAST_ONCE"}
    return {"streaming": True, "supportsAtLeastOnce": not kind.totals, "supportsExactlyOnce": True, **default}


def _fields(kind: type[Options]) -> list["dataclasses.Field[Any]"]:
    left_out = _ELSEWHERE if kind.streams else _ELSEWHERE | {"streaming"}
    own = [field for field in dataclasses.fields(kind) if field.name not in left_out]
    return sorted(own, key=lambda field: field.default is not dataclasses.MISSING)


def _parameter(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    about: Option = field.metadata["option"]
    required = field.default is dataclasses.MISSING
    regex = about.pattern or _REGEXES.get(about.type)
    parameter: dict[str, Any] = {
        "name": field.name,
        "label": _label(field.name),
        "helpText": f"{about.help} Example: {_example(about, regex)}",
        "groupName": "Queues" if about.type in _QUEUES else "Required" if required else "Optional",
        "paramType": "ENUM" if about.choices else _TYPES.get(about.type, "TEXT"),
        "isOptional": not required,
    }
    if not required and not about.secret and (default := _default(field.default)):
        parameter["defaultValue"] = default
    if about.choices:
        parameter["enumOptions"] = [{"value": choice, "label": _label(choice)} for choice in about.choices]
    if regex:
        # An optional parameter may be empty.
        parameter["regexes"] = [f"^{regex}$" if required else f"^({regex})?$"]
    return parameter


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value)


def _example(about: Option, regex: str | None = None) -> str:
    """The example without a shell's quotes; for a queue, one that Dataflow's workers can reach."""
    example = " ".join(shlex.split(about.example))
    return _REMOTE_EXAMPLE if regex == _REMOTE_QUEUE and not re.fullmatch(regex, example) else example


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def table_of(kind: type[Options]) -> str:
    """The pipeline's own options as rows of a Markdown table."""
    common = {field.name for field in dataclasses.fields(Options)}
    own = [field for field in dataclasses.fields(kind) if field.name not in common]
    rows = ["| option | meaning | default | example |", "|---|---|---|---|"]
    return "\n".join([*rows, *map(_row, sorted(own, key=lambda field: field.default is not dataclasses.MISSING))])


def _row(field: "dataclasses.Field[Any]") -> str:
    about: Option = field.metadata["option"]
    default = "required" if field.default is dataclasses.MISSING else ""
    if not default and not about.secret and (value := _default(field.default)):
        default = f"`{value}`"
    cells = (f"`--{field.name}`", about.help, default, f"`{_example(about)}`")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
