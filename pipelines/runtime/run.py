"""How a pipeline runs: options from a command line, the runner, progress, balance, exit code."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any, Protocol, Self

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState, create_runner

from beam_patterns.transforms.balance import Balance, Key, counters_of, interim_of
from beam_patterns.transforms.extend import IN_PROCESS
from beam_patterns.transforms.work import concurrency_of

from .counts import Counts, DirectRunner
from .failures import sentence, was_interrupted
from .flink import make_stream_live
from .loopback import counted_here
from .options import Options
from .progress import watched
from .queues import drawing
from .screen import Screen

__all__ = ["Build", "Ended", "MakeRecorder", "Places", "Recorder", "run", "run_pipeline"]

#: What a run writes, and where it is.
Places = Mapping[str, str]
#: A pipeline's graph between the queues that its options name; returns None if there is nothing to do.
Build = Callable[[beam.Pipeline, Any], Places | None]

_FAILED, _WRONG_USE, _INTERRUPTED = 1, 2, 130


class Ended(int):
    """A run's exit code, with its balance.

    >>> ended = Ended(1, Balance(()))
    >>> ended == 1, ended.balance.closes
    (True, True)
    """

    balance: Balance
    """The balance so far if the run did not end by itself; empty if it did not begin."""

    def __new__(cls, code: int, balance: Balance | None = None) -> Self:
        ended = super().__new__(cls, code)
        ended.balance = balance or Balance(())
        return ended


class Recorder(Protocol):
    """Writes the page about a run when it has ended."""

    def write(self, balance: Balance, counters: Mapping[Key, int], result: Any = None, error: str = "") -> None:
        """Writes the page."""


#: Makes the recorder of a pipeline that is built and has not run yet, given its places.
MakeRecorder = Callable[[beam.Pipeline, Places], Recorder]


def run(
    kind: type[Options],
    build: Build,
    argv: Sequence[str] | None,
    recorder: Callable[[Options], MakeRecorder | None] = lambda options: None,
) -> Ended:
    """Runs a pipeline with the options of a command line; returns the exit code, with the balance.

    0: done, and the balance closes. 1: failed. 2: wrong options; nothing was started. 130: interrupted.
    """
    try:
        options, others = kind.parse(sys.argv[1:] if argv is None else argv)
        beam_options = _beam_options(options, others)
        _name_job(kind, options, beam_options)
        note = make_stream_live(options.runner, beam_options) if options.streaming else None
    except ValueError as error:
        print(error, file=sys.stderr)
        return Ended(_WRONG_USE)
    screen = Screen(options.quiet, traces=options.traceback)
    with screen.logging():
        return _guarded(screen, options.runner, lambda: _built(build, options, beam_options, note, screen, recorder))


def run_pipeline(
    pipeline: beam.Pipeline, places: Places | None = None, quiet: bool = False, recorder: MakeRecorder | None = None
) -> Ended:
    """Runs a pipeline that is built, with progress and balance; returns the exit code, with the balance."""
    counts, runner = Counts(), type(pipeline.runner).__name__
    if runner in IN_PROCESS and not pipeline.options.view_as(StandardOptions).streaming:
        pipeline.runner, runner = DirectRunner(counts), "DirectRunner"
    screen = Screen(quiet)
    with screen.logging():
        return _guarded(screen, runner, _Watched(pipeline, runner, counts, places or {}, screen, recorder).code)


def _guarded(screen: Screen, runner: str, work: Callable[[], int]) -> Ended:
    """The exit code of a run, whatever it raises, and a sentence about it."""
    try:
        return Ended(work(), screen.counted)
    except (Exception, KeyboardInterrupt) as error:
        if was_interrupted(error):
            screen.for_good = runner != "DirectRunner"
            screen.complain("interrupted; what was not committed is read again by the next run")
            return Ended(_INTERRUPTED, screen.counted)
        if screen.traces:
            traceback.print_exc()
        screen.complain(sentence(error))
        return Ended(_FAILED, screen.counted)


def _beam_options(options: Options, others: Sequence[str]) -> PipelineOptions:
    if options.streaming and options.runner in ("DirectRunner", "FnApiRunner"):
        raise ValueError(
            "--streaming: the DirectRunner reads what is there and ends; use --runner PrismRunner, FlinkRunner or "
            "DataflowRunner for a run without end"
        )
    try:
        create_runner(options.runner)
    except (ValueError, ImportError) as error:
        raise ValueError(f"--runner: {error}") from None
    flags = [f"--runner={options.runner}", *(["--streaming"] if options.streaming else []), *others]
    return PipelineOptions(flags)


def _name_job(kind: type[Options], options: Options, beam_options: PipelineOptions) -> None:
    """Names the job for dead letters and for the runner's list. On Dataflow names are unique, and its launcher's."""
    job = beam_options.view_as(GoogleCloudOptions)
    if job.job_name is None and options.runner != "DataflowRunner":
        job.job_name = kind.__module__.rpartition(".")[2]


def _built(
    build: Build,
    options: Options,
    beam_options: PipelineOptions,
    note: str | None,
    screen: Screen,
    recorder: Callable[[Options], MakeRecorder | None],
) -> int:
    if note:
        screen.say(note)
    counts = Counts()
    # Beam's own DirectRunner would first try to download Prism.
    runner = DirectRunner(counts) if options.runner == "DirectRunner" else options.runner
    pipeline = beam.Pipeline(runner, options=beam_options)
    # A template's launcher sees no queues: what there is to read shows when the job runs.
    with drawing() if _template(beam_options) else nullcontext():
        places = build(pipeline, options)
    if places is None:
        return 0
    return _Watched(pipeline, options.runner, counts, places, screen, recorder(options)).code()


def _template(options: PipelineOptions) -> str | None:
    """The file into which Dataflow's launcher wants the job, which it submits when this program has ended."""
    return options.view_as(GoogleCloudOptions).template_location


class _Watched:
    """A pipeline while it runs, and what is reported of it."""

    def __init__(
        self,
        pipeline: beam.Pipeline,
        runner: str,
        counts: Counts,
        places: Places,
        screen: Screen,
        recorder: MakeRecorder | None,
    ) -> None:
        self._pipeline, self._runner, self._counts, self._places = pipeline, runner, counts, places
        self._screen = screen
        self._recorder = recorder(pipeline, places) if recorder else None
        self._on_prism = runner == "PrismRunner"
        self._result: PipelineResult | None = None

    def code(self) -> int:
        """Runs to the end; returns the exit code."""
        counting = counted_here(self._counts) if self._on_prism else nullcontext()
        try:
            with self._counts.until_interrupted(), watched(self._screen.out, self._counts), counting:
                result = self._result = self._pipeline.run()
                options = self._pipeline.options
                if _template(options) or options.view_as(StandardOptions).no_wait_until_finish:
                    self._screen.say(f"submitted to {self._runner}, which goes on without this process")
                    return 0
                self._counts.follow(lambda: counters_of(result, self._pipeline))
                state = result.wait_until_finish()
        except (Exception, KeyboardInterrupt) as error:
            self._end_early(error)
            raise
        return self._report(result, state)

    def _end_early(self, error: BaseException) -> None:
        """Reports what a run has counted that did not come to its end, and stops it."""
        counters = self._counts.now()
        balance = self._screen.counted = Balance.of_counters(counters, self._pipeline)
        if was_interrupted(error):
            self._screen.balance(balance, so_far=True)
        if self._recorder:
            reason = "interrupted" if was_interrupted(error) else sentence(error)
            self._recorder.write(balance, counters, error=reason)
        if self._result is not None and was_interrupted(error):
            with suppress(Exception):  # Ctrl-C may have ended the runner too.
                self._result.cancel()

    def _report(self, result: PipelineResult, state: str | None) -> int:
        screen, pipeline = self._screen, self._pipeline
        here: Mapping[Key, int] = self._counts.here if self._on_prism else {}
        counters = Counter({**counters_of(result, pipeline), **here})
        balance = screen.counted = Balance.of_counters(counters, pipeline, interim_of(result, pipeline) - here.keys())
        error = "" if state in (None, PipelineState.DONE) else f"the runner ended the run as {state}"
        if error:
            screen.complain(error)
        else:
            self._print(result, balance)
        if self._recorder:  # Last, so that a page that can't be written does not hide the balance.
            self._recorder.write(balance, counters, result, error)
        return 0 if balance.closes and not error else _FAILED

    def _print(self, result: PipelineResult, balance: Balance) -> None:
        self._screen.balance(balance)
        self._screen.places(self._places)
        for label, concurrency in concurrency_of(result, self._pipeline):
            self._screen.say(f"{label}: {concurrency.advice()}")
        for complaint in balance.complaints():
            self._screen.complain(f"the balance does not close at {complaint}")
