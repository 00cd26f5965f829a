"""How a pipeline is run from a command line: options, runner, progress, balance, exit code."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any, Self

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState, create_runner

from beam_patterns.pipelines.report.recorder import Recorder
from beam_patterns.transforms.balance import Balance, Key, counters_of, interim_of
from beam_patterns.transforms.work import concurrency_of

from .counts import Counts, DirectRunner
from .failures import sentence, was_interrupted
from .flink import make_stream_live
from .loopback import counted_here
from .options import Options
from .progress import watched
from .queues import drawing
from .screen import Screen

__all__ = ["Ended", "Places", "launch"]

#: What a run writes, and where it lies.
Places = Mapping[str, str]
#: A pipeline's graph between the queues its options name; None for Places means that there is nothing to do.
Build = Callable[[beam.Pipeline, Any], Places | None]

_FAILED, _WRONG_USE, _INTERRUPTED = 1, 2, 130


class Ended(int):
    """A run's exit code, with its balance.

    >>> ended = Ended(1, Balance(()))
    >>> ended == 1, ended.balance.closes
    (True, True)
    """

    balance: Balance
    """Of a run that did not come to its end, the balance so far; empty if it did not begin."""

    def __new__(cls, code: int, balance: Balance | None = None) -> Self:
        ended = super().__new__(cls, code)
        ended.balance = balance or Balance(())
        return ended


def launch(kind: type[Options], build: Build, argv: Sequence[str] | None) -> Ended:
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
    screen = Screen(quiet=options.quiet)
    with screen.logging(traces=options.traceback):
        return Ended(_code(build, options, beam_options, note, screen), screen.counted)


def _code(build: Build, options: Options, beam_options: PipelineOptions, note: str | None, screen: Screen) -> int:
    try:
        if note:
            screen.say(note)
        return _run(build, options, beam_options, screen)
    except (Exception, KeyboardInterrupt) as error:
        if was_interrupted(error):
            screen.for_good = options.runner != "DirectRunner"
            screen.complain("interrupted; what was not committed is read again by the next run")
            return _INTERRUPTED
        if options.traceback:
            traceback.print_exc()
        screen.complain(sentence(error))
        return _FAILED


def _beam_options(options: Options, others: Sequence[str]) -> PipelineOptions:
    if options.streaming and options.runner in ("DirectRunner", "FnApiRunner"):
        raise ValueError(
            "--streaming: the DirectRunner reads what is there and ends; take --runner PrismRunner, FlinkRunner or "
            "DataflowRunner to go on for ever"
        )
    try:
        create_runner(options.runner)
    except (ValueError, ImportError) as error:
        raise ValueError(f"--runner: {error}") from None
    flags = [f"--runner={options.runner}", *(["--streaming"] if options.streaming else []), *others]
    return PipelineOptions(flags)


def _name_job(kind: type[Options], options: Options, beam_options: PipelineOptions) -> None:
    """For dead letters and for those who look at a runner's jobs. On Dataflow names are unique, and its launcher's."""
    job = beam_options.view_as(GoogleCloudOptions)
    if job.job_name is None and options.runner != "DataflowRunner":
        job.job_name = kind.__module__.rpartition(".")[2]


def _run(build: Build, options: Options, beam_options: PipelineOptions, screen: Screen) -> int:
    counts = Counts()
    # Beam's own DirectRunner would first try to download Prism.
    runner = DirectRunner(counts) if options.runner == "DirectRunner" else options.runner
    pipeline = beam.Pipeline(runner, options=beam_options)
    template = beam_options.view_as(GoogleCloudOptions).template_location
    with drawing() if template else nullcontext():  # Which queues there are to read is seen when the job runs.
        places = build(pipeline, options)
    if places is None:
        return 0
    recorder = Recorder(options.report, pipeline, options, places) if options.report else None
    on_prism = options.runner == "PrismRunner"
    counting = counted_here(counts) if on_prism else nullcontext()
    result = None
    try:
        with counts.until_interrupted(), watched(screen.out, counts), counting:
            result = pipeline.run()
            # Dataflow's launcher takes the job from that file and submits it when this program has ended.
            if template or beam_options.view_as(StandardOptions).no_wait_until_finish:
                screen.say(f"submitted to {options.runner}; it goes on by itself")
                return 0
            counts.follow(lambda: counters_of(result, pipeline))
            state = result.wait_until_finish()
    except (Exception, KeyboardInterrupt) as error:
        _so_far(counts.now(), pipeline, error, recorder, screen)
        if result is not None and was_interrupted(error):
            with suppress(Exception):  # Ctrl-C may have ended the runner too.
                result.cancel()
        raise
    here = counts.here if on_prism else {}
    return _report(result, state, here, pipeline, places, recorder, screen)


def _so_far(
    counters: Counter[Key], pipeline: beam.Pipeline, error: BaseException, recorder: Recorder | None, screen: Screen
) -> None:
    """What a run has counted that did not come to its end."""
    balance = screen.counted = Balance.of_counters(counters, pipeline)
    if was_interrupted(error):
        screen.balance(balance, so_far=True)
    if recorder:
        recorder.write(balance, counters, error="interrupted" if was_interrupted(error) else sentence(error))


def _report(
    result: PipelineResult,
    state: str,
    here: Mapping[Key, int],
    pipeline: beam.Pipeline,
    places: Places,
    recorder: Recorder | None,
    screen: Screen,
) -> int:
    counters = Counter({**counters_of(result, pipeline), **here})
    balance = screen.counted = Balance.of_counters(counters, pipeline, interim_of(result, pipeline) - here.keys())
    ended = state in (None, PipelineState.DONE)
    if recorder:
        recorder.write(balance, counters, result, error="" if ended else f"the runner ended the run as {state}")
    if not ended:
        screen.complain(f"the runner ended the run as {state}")
        return _FAILED
    screen.balance(balance)
    screen.places(places)
    for label, concurrency in concurrency_of(result, pipeline):
        screen.say(f"{label}: {concurrency.advice()}")
    for complaint in balance.complaints():
        screen.complain(f"the balance does not close at {complaint}")
    return 0 if balance.closes else _FAILED
