"""beam-patterns show NAME: the flow of a pipeline as text and Mermaid, without running it."""

import dataclasses
import shlex
from collections.abc import Sequence
from types import ModuleType

import apache_beam as beam

from beam_patterns.pipelines.cli.metadata import options_class
from beam_patterns.pipelines.runtime.options import Options, options_of
from beam_patterns.pipelines.runtime.queues import drawing

from ..report.outline import mermaid, text
from ..report.recorder import flow_of

__all__ = ["show"]


def show(module: ModuleType, argv: Sequence[str]) -> str:
    """The flow as text and as Mermaid. Required options that the command line lacks get their examples."""
    cls = options_class(module)
    options, _ = cls.parse([*_examples(cls, argv), *argv])
    pipeline = beam.Pipeline("FnApiRunner")
    with drawing():
        module.build(pipeline, options)
    flow = flow_of(pipeline)
    return f"{text(flow)}\n\n{mermaid(flow)}"


def _examples(cls: type[Options], argv: Sequence[str]) -> list[str]:
    given = {argument.partition("=")[0] for argument in argv}
    examples = options_of(cls)
    return [
        f"--{field.name}={shlex.split(examples[field.name].example)[0]}"
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and f"--{field.name}" not in given
    ]
