"""Collects what is known of a run and writes its report, one HTML page."""

import dataclasses
import logging
import platform
import shlex
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from beam_patterns.pipelines.runtime.options import Options, options_of, page, shown
from beam_patterns.pipelines.runtime.pages import write_page
from beam_patterns.transforms.balance import TIMES, Balance, Key, quantile
from beam_patterns.transforms.queues import QueueError, open_queue

from .flow import Flow, counts_of
from .images import images_in
from .layout import Layout
from .letters import LABEL, LetterGroups

__all__ = ["About", "Recorder", "flow_of"]

_LOG = logging.getLogger(__name__)
_PACKAGES = ("beam-patterns", "apache-beam", "pyarrow", "kafka-python", "confluent-kafka", "google-cloud-pubsub")


class About(NamedTuple):
    """The name, the summary and the parameters of a run."""

    name: str
    summary: str = ""
    parameters: Mapping[str, str] = {}

    @staticmethod
    def of(options: Options) -> "About":
        """The description of a pipeline by its options class, whose docstring is the summary."""
        cls = type(options)
        return About(cls.__module__.rpartition(".")[2], (cls.__doc__ or "").strip(), _parameters(options))


class Recorder:
    """Writes the report of a run. Create it when the pipeline is built and has not run: it adds steps of its own."""

    def __init__(self, path: str, about: About, pipeline: beam.Pipeline, places: Mapping[str, str]) -> None:
        self._path, self._about, self._pipeline, self._places = _checked(path), about, pipeline, dict(places)
        self._letters = LetterGroups(pipeline)
        self._started = time.time()

    def write(self, balance: Balance, counters: Mapping[Key, int], result: Any = None, error: str = "") -> None:
        """Writes the page, complete or not at all. `error` is the sentence about a run that failed."""
        try:
            write_page(
                self._path,
                "report/run.html",
                about=self._about,
                started=datetime.fromtimestamp(self._started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                seconds=time.time() - self._started,
                error=error,
                layout=Layout.of(flow_of(self._pipeline, counts_of(result) if result else None)),
                balance=balance,
                times=_times(balance, counters),
                letters=self._letters,
                replay=_replay(self._places.get("dead letters", "")),
                places=self._places,
                images=images_in(self._places.values(), self._started),
                versions=_versions(),
            )
        except OSError as problem:
            sentence = f"the report can't be written to {self._path}: {problem.strerror}; name another file"
            if not error:
                raise QueueError(sentence) from problem
            _LOG.error(sentence)  # The run itself failed, and the caller reports why.


def flow_of(pipeline: beam.Pipeline, counts: Mapping[str, int] | None = None) -> Flow:
    """The flow without the steps that the recorder adds."""
    flow = Flow.of(pipeline, counts)
    nodes = tuple(node for node in flow.nodes if not node.label.startswith(LABEL))
    edges = tuple(edge for edge in flow.edges if not edge.target.startswith(LABEL))
    return Flow(nodes, edges)


def _checked(path: str) -> Path:
    """The path; raises ValueError if no file can be written there, or if the page would replace a device."""
    if Path(page(path)).exists() and not Path(path).is_file():
        raise ValueError(f"the report can't be written to {path!r}, which is not a regular file; name another file")
    return Path(path)


def _parameters(options: Options) -> dict[str, str]:
    """The options as written on the command line, without the text of secrets."""
    known = options_of(type(options))
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {
        f"--{name}": "(hidden)" if known[name].secret and value else shown(value)
        for name, value in values.items()
        if value not in ("", None)
    }


def _times(balance: Balance, counters: Mapping[Key, int]) -> dict[str, tuple[str, str]]:
    """The median and the 95th percentile of the time per element, for each step of the balance that measured it."""
    buckets: dict[str, Counter[int]] = defaultdict(Counter)
    labels = sorted((step.label for step in balance.steps), key=len, reverse=True)
    for (place, namespace, name), items in counters.items():
        if namespace == TIMES:
            owner = next((label for label in labels if f"{place}/".startswith(f"{label}/")), place)
            buckets[owner][int(name)] += items
    return {label: (_duration(quantile(of, 0.5)), _duration(quantile(of, 0.95))) for label, of in buckets.items()}


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


def _replay(dead_letters: str) -> str:
    """The command that replays dead letters, with URI for queues that only the user knows; empty without a queue."""
    if not dead_letters:
        return ""
    queue = open_queue(dead_letters)
    command = ["python", "pipelines/replay_dead_letters.py", "--dead_letters", queue.read_uri("replay")]
    if queue.sibling("any") is None:
        command += ["--to", "URI"]
    if not queue.keeps_positions:
        command += ["--journal", "URI"]
    return shlex.join(command)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
