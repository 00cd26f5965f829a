"""What a run tells, gathered into its report."""

import dataclasses
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

from beam_patterns.pipelines.runtime.options import Options, options_of, shown
from beam_patterns.transforms.balance import TIMES, Balance, quantile
from beam_patterns.transforms.extend import replaced_file
from beam_patterns.transforms.queues import open_queue

from .flow import Flow, counts_of
from .letters import LABEL, Gathered
from .page import Report, Times, render
from .produced import images_in

__all__ = ["About", "Recorder", "flow_of"]

Counters = Mapping[tuple[str, str, str], int]
_PACKAGES = ("beam-patterns", "apache-beam", "pyarrow", "kafka-python", "confluent-kafka", "google-cloud-pubsub")


class About(NamedTuple):
    """What a run is called and was asked for."""

    name: str
    summary: str = ""
    parameters: Mapping[str, str] = {}

    @staticmethod
    def of(options: Options) -> "About":
        """A pipeline by its options class, whose docstring is the summary."""
        kind = type(options)
        return About(kind.__module__.rpartition(".")[2], (kind.__doc__ or "").strip(), _parameters(options))


class Recorder:
    """Makes the page about a run. Create it when the pipeline is built and has not run: it gathers dead letters too."""

    def __init__(self, path: str, about: About, pipeline: beam.Pipeline, places: Mapping[str, str]) -> None:
        self._path, self._about, self._pipeline, self._places = Path(path), about, pipeline, dict(places)
        self._letters = Gathered(pipeline)
        self._started = time.time()

    def write(self, balance: Balance, counters: Counters, result: Any = None, error: str = "") -> None:
        """Writes the page, whole or not at all."""
        page = render(self._report(balance, counters, result, error))
        with replaced_file(self._path) as partial:
            partial.write_text(page, encoding="utf-8")

    def _report(self, balance: Balance, counters: Counters, result: Any, error: str) -> Report:
        return Report(
            name=self._about.name,
            summary=self._about.summary,
            started=datetime.fromtimestamp(self._started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            seconds=time.time() - self._started,
            flow=flow_of(self._pipeline, counts_of(result) if result else None),
            balance=balance,
            kinds=self._letters.kinds,
            kinds_known=self._letters.known,
            replay=_replay(self._places.get("dead letters", "")),
            parameters=self._about.parameters,
            versions=_versions(),
            places=self._places,
            images=images_in(self._places.values(), self._started),
            times=_times(balance, counters),
            error=error,
        )


def flow_of(pipeline: beam.Pipeline, counts: Any = None) -> Flow:
    """The flow without what the report has put there itself."""
    flow = Flow.of(pipeline, counts)
    nodes = tuple(node for node in flow.nodes if not node.label.startswith(LABEL))
    edges = tuple(edge for edge in flow.edges if not edge.target.startswith(LABEL))
    return Flow(nodes, edges)


def _parameters(options: Options) -> dict[str, str]:
    """As given on the command line; a secret shows only that there is one."""
    known = options_of(type(options))
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {
        f"--{name}": "(hidden)" if known[name].secret and value else shown(value)
        for name, value in values.items()
        if value not in ("", None)
    }


def _times(balance: Balance, counters: Counters) -> dict[str, Times]:
    """Of each step of the balance."""
    buckets: dict[str, Counter[int]] = defaultdict(Counter)
    labels = sorted((step.label for step in balance.steps), key=len, reverse=True)
    for (place, namespace, name), items in counters.items():
        if namespace == TIMES:
            owner = next((label for label in labels if f"{place}/".startswith(f"{label}/")), place)
            buckets[owner][int(name)] += items
    return {label: Times(quantile(found, 0.5), quantile(found, 0.95)) for label, found in buckets.items()}


def _replay(dead_letters: str) -> str:
    """The command that sends the letters back, as far as it is known."""
    if not dead_letters:
        return ""
    command = ["python", "pipelines/replay_dead_letters.py", "--dead_letters"]
    queue = open_queue(dead_letters)
    command.append(queue.read_uri("replay"))
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
