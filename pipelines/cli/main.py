"""The command line: beam-patterns list, run NAME ..., new NAME, template NAME ..., queue COMMAND URI and others.

python -m beam_patterns.pipelines NAME ... is the same as beam-patterns run NAME ...; a NAME may also be a file,
my_flow.py, or a module, my_package.my_flow.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from .known import module_of, pipelines
from .script import hush_imports

__all__ = ["main"]

_USAGE = """\
usage: beam-patterns list               lists the pipelines
       beam-patterns run NAME [...]     runs a pipeline; beam-patterns run NAME --help explains its options
       beam-patterns show NAME [...]    shows its flow as text and as Mermaid, without running it
       beam-patterns template NAME ...  prints the Dataflow Flex Template that runs it, for --image IMAGE
       beam-patterns new NAME [...]     writes a pipeline of your own to start from, with its test and metadata
       beam-patterns queue COMMAND URI  create, publish, listen, peek, count, lag, copy
       beam-patterns providers          prints the listing by which pipelines in Beam YAML find the patterns
       beam-patterns --version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    try:
        code = _main(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # The reader has closed the pipe, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _main(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["run"], ["show"], ["template"]):
        return _refuse(f"{arguments[0]} needs the name of a pipeline: {', '.join(pipelines())}")
    if arguments[:1] == ["run"]:
        arguments = arguments[1:]
    match arguments:
        case ["list"]:
            _list()
        case ["--version"]:
            print(f"beam-patterns {version('beam-patterns')}")
        case [] | ["--help" | "-h"] | ["show" | "template", "--help" | "-h"]:
            print(_USAGE)
        case ["show", name, *rest]:
            return _show(name, rest)
        case ["template", name, *rest]:
            return _template(name, rest)
        case ["new", *rest]:
            return _new(rest)
        case ["queue", *rest]:
            return _queue(rest)
        case ["providers"]:
            hush_imports()
            print(importlib.import_module("beam_patterns.pipelines.beam_yaml.listing").providers(), end="")
        case [name, *rest]:
            return _run(name, rest)
    return 0


def _show(name: str, argv: list[str]) -> int:
    try:
        module = module_of(name)
        print(importlib.import_module("beam_patterns.pipelines.cli.show").show(module, argv))
    except ValueError as error:
        return _refuse(str(error))
    return 0


def _template(name: str, argv: list[str]) -> int:
    try:
        module = module_of(name)
        return importlib.import_module("beam_patterns.pipelines.cli.templates").main(module, argv)
    except ValueError as error:
        return _refuse(str(error))


def _run(name: str, argv: list[str]) -> int:
    try:
        module = module_of(name)
    except ValueError as error:
        return _refuse(str(error))
    return module.run(argv)


def _new(argv: list[str]) -> int:
    hush_imports()
    try:
        return importlib.import_module("beam_patterns.pipelines.cli.new").main(argv)
    except (ValueError, OSError) as error:
        return _refuse(str(error))


def _queue(argv: list[str]) -> int:
    try:
        hush_imports()
        return importlib.import_module("beam_patterns.pipelines.cli.queue").main(argv)
    except KeyboardInterrupt:  # `queue listen` ends this way, and importing Beam takes seconds too.
        return 130


def _list() -> None:
    known = pipelines()
    width = max(map(len, known))
    for name, summary in known.items():
        print(f"{name:<{width}}  {summary}")


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2
