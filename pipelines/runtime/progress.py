"""The progress of a run: a bar and the busy steps on a terminal, a line every 10 seconds elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from beam_patterns.transforms.balance import PROGRESS, READ, TO_READ, Key

from .counts import Counts

__all__ = ["Busy", "Pace", "watched"]

_TICK, _PLAIN_TICK = 0.5, 10.0
#: Seconds for which a step is shown after it has moved.
_LINGER = 2.0
_SHOWN = 6


class Busy(NamedTuple):
    """A step that processes elements."""

    step: str
    items: int
    rate: float
    done: float | None = None
    """The finished share of all elements; None if their number is not known."""
    left: float | None = None
    """Seconds until the rest is done, at this rate."""

    def __str__(self) -> str:
        return f"{self.step} {self.items:,} ({', '.join([self.pace, *self.ahead])})"

    @property
    def pace(self) -> str:
        """The rate as text."""
        return f"{self.rate:,.0f}/s" if self.rate >= 10 else f"{self.rate:.2g}/s"

    @property
    def ahead(self) -> list[str]:
        """The finished share and the time left as text, if known."""
        if self.done is None or self.left is None:
            return []
        return [f"{self.done:.0%}".replace("%", " %"), f"{_clock(self.left)} left"]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Pace:
    """Which steps are busy and how fast, from one reading of the counters to the next.

    >>> pace = Pace(clock=iter([0.0, 2.0]).__next__)
    >>> pace.busy(Counter())
    []
    >>> [str(busy) for busy in pace.busy(Counter({("Email/Send", "Deliver", "in"): 50}), {"Email": 200})]
    ['Email 50 (25/s, 25 %, 0:06 left)']
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: dict[str, tuple[float, int]] = {}
        self._moved: dict[str, tuple[float, int]] = {}
        self._before = clock()

    def busy(self, counters: Counter[Key], entered: Mapping[str, int] | None = None) -> list[Busy]:
        """The steps that have moved lately or are not finished, with the rate since each began.

        `entered` is the number of elements that each has to process, as far as it is known.
        """
        now = self._clock() if self._moved or counters else self._before
        items = _items(counters)
        for step, number in items.items():
            self._start.setdefault(step, (self._before, 0))
            if number != self._moved.get(step, (now, 0))[1]:
                self._moved[step] = (now, number)
        self._before = now
        done = _shares(counters, items, entered or {})
        shown = [step for step, (at, _) in self._moved.items() if now - at <= _LINGER or done.get(step, 1) < 1]
        return [self._busy(step, done.get(step)) for step in shown[-_SHOWN:]]

    def _busy(self, step: str, done: float | None) -> Busy:
        at, items = self._moved[step]
        seconds = max(at - self._start[step][0], 0.001)
        return Busy(step, items, items / seconds, done, seconds * (1 - done) / done if done else None)


def _items(counters: Counter[Key]) -> Counter[str]:
    """Per step, the elements that came in; for a source, those that came out."""
    items: Counter[str] = Counter()
    for (step, pattern, name), count in counters.items():
        if name == "in" or (name == "out" and (step, pattern, "in") not in counters):
            items[step.partition("/")[0]] += count
    return items


def _shares(counters: Counter[Key], items: Counter[str], entered: Mapping[str, int]) -> dict[str, float]:
    """The finished share of each step: of a source, what it has read; of other steps, the elements processed."""
    shares = {step: items[step] / number for step, number in entered.items() if number}
    units: dict[str, Counter[str]] = {READ: Counter(), TO_READ: Counter()}
    for (step, namespace, name), count in counters.items():
        if namespace == PROGRESS:
            units[name][step.partition("/")[0]] += count
    shares |= {step: units[READ][step] / number for step, number in units[TO_READ].items() if number}
    return {step: min(share, 1.0) for step, share in shares.items()}


@contextmanager
def watched(console: Console, counts: Counts) -> Iterator[None]:
    """Shows the progress of a run while it goes on."""
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
            steps = _steps(pace.busy(counts.now(), counts.entered()))
            live.update(Group(bar, steps) if steps.row_count else bar, refresh=True)


def _steps(busy_steps: list[Busy]) -> Table:
    """A line per busy step."""
    table = Table(box=None, pad_edge=False, show_header=False)
    justifications: list[JustifyMethod] = ["left", "right", "right", "left", "right", "right"]
    for justify in justifications:
        table.add_column(justify=justify, no_wrap=True)
    for busy in busy_steps:
        known: list[ProgressBar | str] = [ProgressBar(1, busy.done or 0, 20), *busy.ahead] if busy.ahead else []
        table.add_row(Text(f"  {busy.step}"), f"{busy.items:,}", busy.pace, *known)
    return table


def _in_lines(console: Console, counts: Counts, over: threading.Event) -> None:
    pace = Pace()
    while not over.wait(_PLAIN_TICK):
        busy = ", ".join(map(str, pace.busy(counts.now(), counts.entered())))
        if busy:
            console.print(busy, markup=False)
