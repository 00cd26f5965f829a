"""The counters of a run, as its runner reports them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import PipelineResult

__all__ = ["Key", "counters_in", "counters_of", "decoded", "element_counts", "interim_of", "steps_of"]

_USER_COUNTER = "beam:metric:user:sum_int64:v1"
_ELEMENT_COUNT = "beam:metric:element_count:v1"
#: A counter: label of the step, namespace (the pattern's class), name.
Key = tuple[str, str, str]


def counters_of(result: Any, pipeline: beam.Pipeline | None = None) -> Counter[Key]:
    """All counters of a run, with their final values if the runner reports them."""
    attempted, final = _reported(result, pipeline)
    return Counter({**attempted, **final})


def interim_of(result: Any, pipeline: beam.Pipeline | None = None) -> set[Key]:
    """The counters without a final value, on a runner that reports final values of other counters.

    Prism drops the last counters of some bundles. Flink reports only the values it saw last, which are final.
    """
    attempted, final = _reported(result, pipeline)
    return attempted.keys() - final.keys() if final else set()


def _reported(result: Any, pipeline: beam.Pipeline | None) -> tuple[Counter[Key], Counter[Key]]:
    """The counters that the runner saw, and those that it calls final.

    A job server is asked directly: `result.metrics()` repeats its first answer while the run continues, and keeps one
    stage's values of a step in several stages (Flink puts the steps after a Flatten into the stage of each input).
    """
    if isinstance(result, PipelineResult):
        steps = steps_of(result, pipeline)
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=result._job_id)
        metrics = result._job_service.GetJobMetrics(request).metrics
        return counters_in(steps, metrics.attempted), counters_in(steps, metrics.committed)
    seen, final = Counter[Key](), Counter[Key]()
    for metric in result.metrics().query()["counters"]:
        key = metric.key.step or "", metric.key.metric.namespace, metric.key.metric.name
        seen[key] += metric.attempted or 0
        if metric.committed is not None:
            final[key] += metric.committed
    return seen, final


def steps_of(result: Any, pipeline: beam.Pipeline | None) -> Mapping[str, Any]:
    """The steps by id on a portable runner, which reports ids; empty on others, which report labels."""
    if pipeline is None or not isinstance(result, PipelineResult):
        return {}
    return pipeline.to_runner_api().components.transforms


def counters_in(names: Any, infos: Iterable[Any]) -> Counter[Key]:
    """The user counters among the metrics of a worker or a job server, with the labels of the steps."""
    counted: Counter[Key] = Counter()
    for info in infos:
        if info.urn == _USER_COUNTER:
            step = info.labels["PTRANSFORM"]
            label = names[step].unique_name if step in names else step
            counted[label, info.labels["NAMESPACE"], info.labels["NAME"]] += decoded(info.payload)
    return counted


def element_counts(infos: Iterable[Any]) -> dict[str, int]:
    """The number of elements of each PCollection, by its id, among the metrics of a worker or a job server."""
    counts: dict[str, int] = {}
    for info in infos:
        if info.urn == _ELEMENT_COUNT:
            name = info.labels["PCOLLECTION"]
            # Both stages report a PCollection between them.
            counts[name] = max(decoded(info.payload), counts.get(name, 0))
    return counts


def decoded(payload: bytes) -> int:
    """The number in a varint, the format of counters in the portability protocol."""
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(payload))
