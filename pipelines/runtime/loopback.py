"""A run on Prism works in this process, which so knows the counters that Prism loses: the last of some bundles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.runners.worker.sdk_worker import SdkWorker

from .counts import Counts

__all__ = ["counted_here"]


@contextmanager
def counted_here(counts: Counts) -> Iterator[None]:
    """Every bundle that ends in this process is counted. Not for runners that do bundles again, such as Flink."""
    beams_own: Any = SdkWorker.process_bundle

    def process_bundle(worker: Any, request: Any, instruction_id: str) -> Any:
        cache = worker.bundle_processor_cache
        with counts.bundle(cache, instruction_id):
            answer = beams_own(worker, request, instruction_id)
        names = cache.fns[request.process_bundle_descriptor_id].transforms
        counts.finished(names, answer.process_bundle.monitoring_infos)
        return answer

    SdkWorker.process_bundle = process_bundle  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        SdkWorker.process_bundle = beams_own  # type: ignore[method-assign]
