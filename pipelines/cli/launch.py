"""A pipeline as a program: the run, with the page about it."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions

from beam_patterns.pipelines.report.recorder import About, Recorder
from beam_patterns.pipelines.runtime.options import Options
from beam_patterns.pipelines.runtime.run import Build, Ended, MakeRecorder, Places, run
from beam_patterns.pipelines.runtime.run import run_pipeline as _run_pipeline

__all__ = ["launch", "run_pipeline"]


def launch(kind: type[Options], build: Build, argv: Sequence[str] | None = None) -> Ended:
    """Runs a pipeline with the options of a command line; returns the exit code, with the balance.

    0: done, and the balance closes. 1: failed. 2: wrong options; nothing was started. 130: interrupted.

    Args:
        kind: the options class.
        build: builds the graph in a beam.Pipeline, with the options; returns where the results are, by name, or None if
            there is nothing to do.
        argv: the command line, by default that of the process.
    """
    return run(kind, build, argv, _recorder)


def run_pipeline(
    pipeline: beam.Pipeline, *, places: Places | None = None, report: str = "", quiet: bool = False
) -> Ended:
    """Runs a pipeline of your own with progress, balance, report and exit code: `raise SystemExit(run_pipeline(p))`.

    >>> from beam_patterns.transforms import Filter
    >>> p = beam.Pipeline()
    >>> _ = p | beam.Create([1, 2, 3]) | Filter(lambda n: n > 1)
    >>> ended = run_pipeline(p, quiet=True)
    >>> ended, [(step.label, step.came, step.out) for step in ended.balance.steps]
    (0, [('Filter', 3, 2)])

    Args:
        pipeline: the pipeline, built and not run: made by `beam.Pipeline(...)`, not in a `with` statement.
        places: where the results are, by name, for people.
        report: the file for an HTML page about the run.
        quiet: no progress and no balance; errors only.
    """
    name = pipeline.options.view_as(GoogleCloudOptions).job_name or Path(sys.argv[0]).stem
    return _run_pipeline(pipeline, places, quiet, partial(Recorder, report, About(name)) if report else None)


def _recorder(options: Options) -> MakeRecorder | None:
    return partial(Recorder, options.report, About.of(options)) if options.report else None
