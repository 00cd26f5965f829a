"""The terminal during a run."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from beam_patterns.transforms.balance import Balance, Step

__all__ = ["Screen"]

_TRACE = "Traceback (most recent call last)"


class Screen:
    """Writes results to standard output and errors to standard error; `quiet` leaves only the errors."""

    def __init__(self, quiet: bool = False, traces: bool = False) -> None:
        self.quiet, self.traces, self.for_good = quiet, traces, False
        self.counted = Balance(())
        width = None if sys.stdout.isatty() else 140  # A file has no width.
        self.out = Console(quiet=quiet, highlight=False, soft_wrap=True, width=width)
        self._error = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints a line."""
        self.out.print(text, markup=False)

    def complain(self, text: str) -> None:
        """Prints a line about an error."""
        self._error.print(text, markup=False)

    def balance(self, balance: Balance, so_far: bool = False) -> None:
        """Prints one line per step."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("step", no_wrap=True)
        for name in ("in", "out", "dropped", "dead", "duplicates"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("of which")
        for step in balance.steps:
            table.add_row(*_cells(step), style="red" if step.missing else None)
        self.out.print(table)
        if so_far:  # Elements between two steps are counted by neither.
            return
        interim = ", ".join(step.label for step in balance.steps if step.interim)
        if interim:
            self.complain(f"the runner reported no final counters of {interim}; those shown were read before the end")
        where = "every step" if not interim else "every other step"
        closed = f"balance: in = out + dropped + dead + duplicates at {where}"
        self.say(closed if balance.closes else "balance: open")

    def places(self, places: Mapping[str, str]) -> None:
        """Prints where the results are."""
        width = max(map(len, places), default=0)
        for name, place in places.items():
            self.say(f"{name:<{width}}  {place}")

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Shows our own log records as plain lines and others' warnings as such, without Beam's tracebacks.

        With `for_good` tracebacks stay hidden afterwards: abandoned workers log them until this process ends.
        """
        ours = logging.getLogger("beam_patterns")
        lines = _Lines(self)
        ours.addHandler(lines)
        level, ours.propagate = ours.level, False
        ours.setLevel(logging.WARNING if self.quiet else logging.INFO)
        handlers = logging.getLogger().handlers
        hush = _everything if self.traces else _no_traces
        for handler in handlers:
            handler.addFilter(hush)
        stderr, of_threads = sys.stderr, threading.excepthook
        if not self.traces:
            sys.stderr = _Sieve(stderr)
            threading.excepthook = _ignore  # Connections to a runner that is gone; the run itself reports why.
        try:
            yield
        finally:
            if not self.for_good:
                sys.stderr, threading.excepthook = stderr, of_threads
                for handler in handlers:
                    handler.removeFilter(hush)
            ours.removeHandler(lines)
            ours.setLevel(level)
            ours.propagate = True


class _Sieve:
    """A standard error without tracebacks: Beam's worker prints each failure there, besides logging and raising it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._in_trace = stream, False

    def write(self, text: str) -> int:
        # `print` writes the end of its line by itself.
        self._in_trace = _TRACE in text or (self._in_trace and text == "\n")
        return len(text) if self._in_trace else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Lines(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        show = self._screen.complain if record.levelno >= logging.WARNING else self._screen.say
        show(record.getMessage())


def _cells(step: Step) -> tuple[str, ...]:
    rest = (step.dropped, step.dead, step.duplicates)
    branches = ", ".join(f"{name} {count:,}" for name, count in step.branches if count)
    came = "" if step.came is None else f"{step.came:,}"
    return (step.label, came, f"{step.out:,}", *(f"{count:,}" if count else "" for count in rest), branches)


def _no_traces(record: logging.LogRecord) -> bool:
    """The error of a run is shown in one sentence at the end; Beam logs it with its traceback before."""
    return not (record.exc_info or _TRACE in record.getMessage())


def _ignore(unused: threading.ExceptHookArgs) -> None:
    return


def _everything(record: logging.LogRecord) -> bool:
    return True
