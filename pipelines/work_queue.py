"""Runs any program, or calls any service, for each item of a queue.

```
items --> WorkQueue: a program per item, or a request --> results
                   +--> the last attempt failed ---------> dead letters
```

    python pipelines/work_queue.py \\
        --input 'sqlite:///data/queues.db?topic=orders&group=labels' \\
        --command 'python3 label.py --to {name}' \\
        --output 'sqlite:///data/queues.db?topic=labels' \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters' \\
        --attempts 5 --timeout 30s

The program finds its item as JSON in the file that the environment variable WORK_ITEM_FILE names. Exit code 0 is
success; the result is what the program prints, or writes to {output}. The words of --command are its arguments, passed
without a shell, with {item}, {item_file}, {scratch}, {output} and the fields of the item filled in. With --url the item
is posted to a service instead, with an Idempotency-Key. Results keep their item's key and get an id derived from the
item's id, the same on every attempt.

--input may be files, '/videos/*.mp4' (the program gets {path}, {size} and {modified}), or a work source in the book's
form, http://host:port/api/v1/items. Neither keeps positions, so name a folder with --done, where each finished item
leaves a marker: a run that was killed then continues where it stopped, a changed file is processed again, and --force
processes everything again. Results are written before queues with groups are committed, but not before the markers:
use --done for work whose effect is outside the pipeline.

Source: Burns, Designing Distributed Systems, chapter 10.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import shlex
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import BetweenQueues, Ended, Places, between, launch, option, queue
from beam_patterns.pipelines.runtime.options import any_source, duration, switch
from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import Message
from beam_patterns.transforms.work import Command, DoneMarkers, HttpWorker


class WorkQueueOptions(BetweenQueues):
    """Runs any program, or calls any service, for each item of a queue."""

    input: str = option(
        "The queue of items, a work source, or files.",
        example="'sqlite:///data/queues.db?topic=orders&group=labels'",
        type=any_source,
    )
    output: str = option("The queue of results.", example="'sqlite:///data/queues.db?topic=labels'", type=queue)
    command: str = option(
        "The program and its arguments, run once per item; give this or --url.",
        example="'python3 label.py --to {name}'",
        default="",
    )
    url: str = option(
        "The service that each item is posted to; give this or --command.", example="https://host/labels", default=""
    )
    token_from: str = option(
        "The environment variable that holds the token for --url, sent as Authorization: Bearer.",
        example="LABELS_TOKEN",
        default="",
        pattern="[A-Za-z_][A-Za-z0-9_]*",
    )
    workers: int = option(
        "Number of items at a time; 0: one per core on the DirectRunner, one per worker on Flink and Dataflow.",
        example="4",
        type=int,
        default=0,
    )
    attempts: int = option("How often an item is tried.", example="5", type=int, default=3)
    timeout: timedelta = option(
        "How long an attempt may take.", example="90s", type=duration, default=timedelta(minutes=1)
    )
    done: str = option("The folder for markers of finished items, which are skipped.", example="data/done", default="")
    force: bool = option("Work on finished items again.", example="true", type=switch, default=False)

    def check(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either --command 'PROGRAM ARGUMENTS' or --url https://host/path")
        if self.token_from and not self.url:
            raise ValueError(f"--token_from {self.token_from}: --url is missing, to which the token is sent; add --url")
        if self.force and not self.done:
            raise ValueError("--force: without --done nothing is skipped; leave --force out or add --done FOLDER")
        if self.workers < 0:
            raise ValueError(f"--workers: {self.workers} is less than 0; use 0 or more")
        if self.command and self.runner == "DirectRunner":  # On other runners only the workers need the program.
            program, *_ = self.arguments()
            if "{" not in program and shutil.which(program) is None:
                raise ValueError(f"--command: program {program!r} not found on this machine; install it")
        super().check()
        self.work()

    @property
    def writes(self) -> dict[str, str]:
        return {"results": self.output}

    def work(self) -> WorkQueue:
        """The work queue that the options describe."""
        work = WorkQueue(AsMessage(self._worker()), self.attempts, self.timeout.total_seconds())
        if self.workers:
            work = work.with_workers(self.workers)
        return work.with_done_check(DoneMarkers(self.done), self.force) if self.done else work

    def arguments(self) -> list[str]:
        """The words of --command."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ValueError(f"--command: {self.command!r} can't be split into words: {error}") from None
        if not words:
            raise ValueError(f"--command: {self.command!r} does not name a program")
        return words

    def _worker(self) -> Callable[[Any], Any]:
        if not self.url:
            return Command(self.arguments())
        worker = HttpWorker(self.url)
        return worker.with_token_from(self.token_from) if self.token_from else worker


class AsMessage:
    """A worker's result as a message with its item's key."""

    def __init__(self, work: Callable[[Any], bytes]) -> None:
        self._work = work
        self.__name__ = getattr(work, "__name__", str(work))

    def __call__(self, item: Message) -> Message:
        """Returns the result for an item."""
        return Message(self._work(item), key=item.key)


def work_queue(items: PCollection[Message], o: WorkQueueOptions, dead: ErrorHandler) -> PCollection[Message]:
    """The graph without I/O: the results."""
    return items | "Work" >> o.work().with_error_handler(dead)


def build(p: beam.Pipeline, o: WorkQueueOptions) -> Places:
    """The graph between the queues of the options; returns where the results are."""
    return between(p, o, work_queue)


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code."""
    return launch(WorkQueueOptions, build, argv)
