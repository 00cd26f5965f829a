"""Watching a run: a bar and the busy steps on a terminal, a line every 10 seconds elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from .counts import Counts, Key

__all__ = ["Busy", "Pace", "watched"]

_TICK, _PLAIN_TICK = 0.5, 10.0
#: A step is shown for so many seconds after it has moved.
_LINGER = 2.0
_SHOWN = 6


class Busy(NamedTuple):
    """A step that is at work."""

    step: str
    items: int
    rate: float

    def __str__(self) -> str:
        return f"{self.step} {self.items:,} ({self.rate:,.0f}/s)"


class Pace:
    """Which steps are at work and how fast, from one look at the counters to the next.

    >>> pace = Pace(clock=iter([0.0, 2.0]).__next__)
    >>> pace.busy(Counter())
    []
    >>> [str(busy) for busy in pace.busy(Counter({("Email/Send", "Deliver", "in"): 50}))]
    ['Email 50 (25/s)']
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: dict[str, tuple[float, int]] = {}
        self._moved: dict[str, tuple[float, int]] = {}
        self._before = clock()

    def busy(self, counters: Counter[Key]) -> list[Busy]:
        """The steps that have moved lately; rates since each began."""
        now = self._clock() if self._moved or counters else self._before
        for step, items in _items(counters).items():
            self._start.setdefault(step, (self._before, 0))
            if items != self._moved.get(step, (now, 0))[1]:
                self._moved[step] = (now, items)
        self._before = now
        return [
            Busy(step, items, items / max(at - self._start[step][0], 0.001))
            for step, (at, items) in self._moved.items()
            if now - at <= _LINGER
        ][-_SHOWN:]


def _items(counters: Counter[Key]) -> Counter[str]:
    """What came in, or for a source what came out, per step."""
    items: Counter[str] = Counter()
    for (step, pattern, name), count in counters.items():
        if name == "in" or (name == "out" and (step, pattern, "in") not in counters):
            items[step.partition("/")[0]] += count
    return items


@contextmanager
def watched(console: Console, counts: Counts) -> Iterator[None]:
    """Shows how far a run is, as long as it goes on."""
    if console.quiet:
        yield
        return
    over = threading.Event()
    show = _on_terminal if console.is_terminal else _in_lines
    watcher = threading.Thread(target=show, args=(console, counts, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _on_terminal(console: Console, counts: Counts, over: threading.Event) -> None:
    bar = Progress(TextColumn("stages"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    stages, pace = bar.add_task("stages", total=None), Pace()
    with Live(bar, console=console, transient=True, auto_refresh=False) as live:
        while not over.wait(_TICK):
            bar.update(stages, completed=counts.stages_done, total=max(counts.stages, counts.stages_done) or None)
            lines = [Text(f"  {busy}") for busy in pace.busy(counts.now())]
            live.update(Group(bar, *lines), refresh=True)


def _in_lines(console: Console, counts: Counts, over: threading.Event) -> None:
    pace = Pace()
    while not over.wait(_PLAIN_TICK):
        busy = ", ".join(map(str, pace.busy(counts.now())))
        if busy:
            console.print(busy, markup=False)
