"""A program as a worker."""

import os
import signal
import string
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import orjson

from ..base.files import replaced_file
from .items import as_json, as_text
from .task import PermanentError

__all__ = ["Command", "CommandError"]

_CHUNK = 65_536
_ERROR_TAIL = 8_192


class CommandError(Exception):
    """A program ended with an error, or said more than it may."""


class Command:
    """Runs a program for each item: the work queue's container contract, without a container.

    ```
    item --> WORK_ITEM_FILE (JSON) --> program --> exit code 0: result, what it wrote
                                                   else: failed, with the end of stderr
    ```

    >>> from beam_patterns.transforms.work import Command
    >>> Command(["echo", "-n", "hello {name}"])({"name": "ann; rm -rf /"})
    b'hello ann; rm -rf /'

    No shell: each argument is passed as it is, whatever is in the item. Placeholders in arguments: `{item}`, the item
    as text; `{item_file}`, the file that WORK_ITEM_FILE names; `{scratch}`, a folder of the item's own, removed
    afterwards; `{output}`, a file for the result; any other, such as `{name}`, a field of the item's JSON. `{{` is a
    brace. An item that begins with a dash looks like an option to most programs: write "--" before it where known.

    Args:
        arguments: the program and its arguments.

    In: anything with a JSON form.
    Out: bytes: what the program wrote to `{output}` if that is among the arguments, else to stdout; the path of the
    file, a str, with `.with_output_file(...)`.
    Failure: CommandError with the exit code and the end of stderr; a missing program or field isn't tried again.
    Source: Burns, Designing Distributed Systems, chapter 10 (the worker container interface).
    """

    _file: str | None = None

    def __init__(self, arguments: Sequence[str], most_output: int = 64 << 20) -> None:
        if isinstance(arguments, str) or not arguments or not all(isinstance(each, str) for each in arguments):
            raise TypeError(
                f"Command takes a list of strings, the program and its arguments, not {arguments!r}; "
                'there is no shell, write Command(["ffmpeg", "-i", "{item}"])'
            )
        self._arguments, self._most = tuple(arguments), most_output
        self._placeholders = {name for argument in arguments for name in _placeholders(argument)}
        self.__name__ = Path(arguments[0]).name

    def with_output_file(self, path: str) -> Self:
        """The program writes to `{output}`, which becomes this file when it has succeeded, complete or not at all.

        The path may hold placeholders of the item's fields. A done check can then look for the file.
        """
        if "output" not in self._placeholders:
            raise ValueError(f"with_output_file({path!r}): {self.__name__} has no argument {{output}} to write to")
        if {"scratch", "output", "item_file"} & set(_placeholders(path)):
            raise ValueError(f"with_output_file({path!r}): only the item and its fields can name the file")
        changed = type(self)(self._arguments, self._most)
        changed._file = path
        return changed

    @property
    def result_type(self) -> type:
        """Of the elements that a WorkQueue makes with this."""
        return bytes if self._file is None else str

    def has_output(self, item: Any) -> bool:
        """Whether the output file is there, and so complete: `WorkQueue(it).with_done_check(it.has_output)`."""
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
            raise PermanentError(f"there is no program {arguments[0]!r} to run: {error.strerror}") from error
        with process:
            errors = _Tail(process.stderr)
            said = _bounded(process, self._most)
            errors.join()
        if len(said) > self._most:
            raise CommandError(f"{self.__name__} wrote over {self._most:,} bytes to stdout; let it write to {{output}}")
        if process.returncode != 0:
            raise CommandError(f"{self.__name__} ended with {_code(process.returncode)}: {errors.text()}")
        return said

    def __str__(self) -> str:
        return f"Command({self.__name__})"


class _Tail(threading.Thread):
    """Reads a program's stderr to the end and keeps its last words."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._kept = stream, b""
        self.start()

    def run(self) -> None:
        while self._stream is not None and (chunk := self._stream.read1(_CHUNK)):  # type: ignore[attr-defined]
            self._kept = (self._kept + chunk)[-_ERROR_TAIL:]

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip() or "it said nothing on stderr"


def _bounded(process: "subprocess.Popen[bytes]", most: int) -> bytes:
    said = bytearray()
    while process.stdout is not None and (chunk := process.stdout.read1(_CHUNK)):  # type: ignore[attr-defined]
        said += chunk
        if len(said) > most:
            process.kill()
            break
    return bytes(said)


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
            raise ValueError(f"Command: {{{name}}} in {text!r} is no placeholder; that is the plain name of a field")
    return [name for _, name, _, _ in parts if name is not None]


def _filled(text: str, values: dict[str, Any]) -> str:
    missing = [name for name in _placeholders(text) if name not in values]
    if missing:
        raise PermanentError(f"the item has no field {missing[0]!r}, which the argument {text!r} asks for")
    return text.format_map({name: as_text(value) for name, value in values.items() if name in _placeholders(text)})


def _code(returncode: int) -> str:
    return f"exit code {returncode}" if returncode > 0 else signal.Signals(-returncode).name
