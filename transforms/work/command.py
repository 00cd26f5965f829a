"""A program as a worker."""

import os
import string
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from ..base.files import replaced_file
from ..base.message import Message
from .items import as_json, as_text
from .task import PermanentError, signal_name

__all__ = ["Command", "CommandError"]

_CHUNK = 65_536
_MAX_ERROR_OUTPUT = 8_192


class CommandError(Exception):
    """A program failed, or wrote too much to stdout."""


class Command:
    """Runs a program for each item: the work queue's container contract, without a container.

    ```
    item --> WORK_ITEM_FILE (JSON) --> program --> exit code 0: its output is the result
                                               --> other exit codes: a failure, with the end of stderr
    ```

    >>> from beam_patterns.transforms.work import Command
    >>> Command(["echo", "-n", "hello {name}"])({"name": "ann; rm -rf /"})
    b'hello ann; rm -rf /'

    No shell runs: each argument is passed unchanged, whatever the item contains. Placeholders in arguments:
    `{item}`, the item as text; `{item_file}`, the file that WORK_ITEM_FILE names; `{scratch}`, a folder for this item,
    removed afterwards; `{output}`, a file for the result; any other, such as `{name}`, is a field of the item's JSON.
    Write `{{` for a brace. Most programs take an item that begins with a dash for an option: put "--" before the
    placeholder if the program supports it.

    Args:
        arguments: the program and its arguments.
        max_output: number of bytes that the program may write to stdout.

    In: anything that can be converted to JSON.
    Out: bytes: the content of `{output}` if that is among the arguments, otherwise of stdout. With
    `.with_output_file(...)`, a str: the path of the file.
    Failure: CommandError with the exit code and the end of stderr. A missing program or field is a PermanentError.
    Source: Burns, Designing Distributed Systems, chapter 10 (the worker container interface).
    """

    _file: str | None = None

    def __init__(self, arguments: Sequence[str], max_output: int = 64 << 20) -> None:
        if isinstance(arguments, str) or not arguments or not all(isinstance(each, str) for each in arguments):
            raise TypeError(
                f"Command takes a list of strings, the program and its arguments, not {arguments!r}; "
                'commands run without a shell: write Command(["ffmpeg", "-i", "{item}"])'
            )
        self._arguments, self._max_output = tuple(arguments), max_output
        self._placeholders = {name for argument in arguments for name in _placeholders(argument)}
        self.__name__ = Path(arguments[0]).name

    def with_output_file(self, path: str) -> Self:
        """Makes the file that the program writes to `{output}` appear at this path, complete, if the program succeeds.

        The path may have placeholders for fields of the item. Use `has_output` as the done check.
        """
        if "output" not in self._placeholders:
            raise ValueError(f"with_output_file({path!r}): {self.__name__} has no argument {{output}} to write to")
        if {"scratch", "output", "item_file"} & set(_placeholders(path)):
            raise ValueError(f"with_output_file({path!r}): only {{item}} and its fields can be in the path")
        changed = type(self)(self._arguments, self._max_output)
        changed._file = path
        return changed

    @property
    def result_type(self) -> type:
        """Type of the results, for WorkQueue."""
        return bytes if self._file is None else str

    def has_output(self, item: Any) -> bool:
        """Whether the output file exists, and so is complete: `WorkQueue(it).with_done_check(it.has_output)`."""
        return self._file is not None and Path(_filled(self._file, _fields(item))).exists()

    def __call__(self, item: Any) -> Any:
        """The result of the program for this item."""
        with tempfile.TemporaryDirectory(prefix="item-") as scratch:
            item_file = Path(scratch, "item.json")
            item_file.write_bytes(as_json(item))
            values = _fields(item) | {"item_file": item_file, "scratch": scratch}
            if self._file is None:
                output = Path(scratch, "output")
                printed = self._run(values | {"output": output})
                return output.read_bytes() if "output" in self._placeholders else printed
            destination = Path(_filled(self._file, values))
            with replaced_file(destination) as output:
                self._run(values | {"output": output})
            return str(destination)

    def _run(self, values: dict[str, Any]) -> bytes:
        arguments = [_filled(argument, values) for argument in self._arguments]
        environment = {**os.environ, "WORK_ITEM_FILE": str(values["item_file"])}
        try:
            process = subprocess.Popen(  # noqa: S603 (no shell; the program is the pipeline author's)
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except (FileNotFoundError, PermissionError) as error:
            raise PermanentError(f"can't run the program {arguments[0]!r}: {error.strerror}") from error
        errors = bytearray()
        with process:
            reader = threading.Thread(target=_read_end, args=(process.stderr, errors), daemon=True)
            reader.start()
            printed = _read_bounded(process, self._max_output)
            reader.join()
        if len(printed) > self._max_output:
            raise CommandError(
                f"{self.__name__} wrote more than {self._max_output:,} bytes to stdout; let it write to {{output}}"
            )
        if (code := process.returncode) != 0:
            reason = f"exit code {code}" if code > 0 else signal_name(-code)
            text = errors.decode("utf-8", "replace").strip() or "no output on stderr"
            raise CommandError(f"{self.__name__} ended with {reason}: {text}")
        return printed

    def __str__(self) -> str:
        return f"Command({self.__name__})"


def _read_end(stream: Any, end: bytearray) -> None:
    """Reads a stream and keeps its last bytes."""
    while chunk := stream.read1(_CHUNK):
        end += chunk
        del end[:-_MAX_ERROR_OUTPUT]


def _read_bounded(process: Any, limit: int) -> bytes:
    """Reads stdout; kills the program if it writes more bytes than the limit."""
    printed = bytearray()
    while chunk := process.stdout.read1(_CHUNK):
        printed += chunk
        if len(printed) > limit:
            process.kill()
            break
    return bytes(printed)


def _fields(item: Any) -> dict[str, Any]:
    fields = orjson.loads(as_json(item))
    return {**(fields if isinstance(fields, dict) else {}), "item": item}


def _placeholders(text: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"Command: {text!r} has a lone brace ({error}); write {{{{ for a brace") from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise ValueError(f"Command: {{{name}}} in {text!r} is not a placeholder: write the plain name of a field")
    return [name for _, name, _, _ in parts if name is not None]


def _filled(text: str, values: dict[str, Any]) -> str:
    names = _placeholders(text)
    for name in names:
        if name not in values:
            raise PermanentError(_missing(name, text, values["item"]))
    return text.format_map({name: as_text(values[name]) for name in names})


def _missing(name: str, text: str, item: Any) -> str:
    payload = item.value if isinstance(item, Message) else item
    if isinstance(payload, bytes):
        try:
            orjson.loads(payload)
        except ValueError as error:
            return f"the item is not JSON: {error}; the argument {text!r} needs its field {name!r}"
    return f"the item has no field {name!r}, which the argument {text!r} needs"
