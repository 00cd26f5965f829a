"""Duplicates, disorder and retried bundles for a pipeline under test."""

import random
from collections.abc import Collection, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.utils.windowed_value import WindowedValue

from beam_patterns.transforms.extend import IN_PROCESS, positions_of, was_read, with_positions

__all__ = ["chaos"]


def chaos(pipeline: beam.Pipeline, seed: int = 0, once: Collection[str] = ()) -> beam.Pipeline:
    """Makes a pipeline deliver elements again and run bundles twice. Call it before any transform is applied.

    * Every source emits about half of its elements twice, and all in another order.
    * Every bundle runs twice; only the side effects of the first run remain, as if the worker had died at its end.

    The pipeline's effects must be the same as without, except for duplicates that consumers recognise by their id:

    >>> from beam_patterns.testing import chaos
    >>> from beam_patterns.transforms.queues import WriteToQueue, open_queue
    >>> with chaos(beam.Pipeline("FnApiRunner")) as p:
    ...     _ = p | beam.Create([b"a", b"b"]) | WriteToQueue("memory://doc-chaos")
    >>> queue = open_queue("memory://doc-chaos?group=doc")
    >>> messages = [m for split in queue.splits() for batch in queue.read(split) for m in batch]
    >>> len(messages) > 2, sorted({m.attribute("message_id") for m in messages})
    (True, [b'new--c1d04330', b'new--d280b0c4'])

    Args:
        pipeline: a pipeline whose runner works in this process.
        seed: chooses the elements and the order.
        once: labels of sources that deliver exactly once, such as settings that are read as a side input.
    """
    if type(pipeline.runner).__name__ not in IN_PROCESS:
        raise ValueError(
            f"chaos(pipeline) needs a runner in this process, not {type(pipeline.runner).__name__}; "
            'create it as beam.Pipeline("FnApiRunner")'
        )
    if pipeline.transforms_stack[0].parts:
        raise ValueError("call chaos(pipeline) before you apply the first transform")
    pipeline.runner = FnApiRunner(bundle_repeat=1)
    pipeline.apply = _Sources(pipeline, seed, frozenset(once))  # type: ignore[method-assign]
    return pipeline


class _Sources:
    """Replaces the pipeline's `apply`: applies a redelivery downstream of each source."""

    def __init__(self, pipeline: beam.Pipeline, seed: int, once: Collection[str]) -> None:
        self._apply, self._seed, self._once = pipeline.apply, seed, once
        self._depth = 0

    def __call__(self, transform: Any, pvalueish: Any = None, label: str | None = None) -> Any:
        self._depth += 1
        try:
            output = self._apply(transform, pvalueish, label)
        finally:
            self._depth -= 1
        name = label or transform.label
        is_source = self._depth == 0 and isinstance(pvalueish, PBegin | beam.Pipeline | None)
        if not is_source or name in self._once or not isinstance(output, PCollection):
            return output
        again = output | f"Redeliver {name}" >> beam.ParDo(_Redeliver(self._seed)).with_output_types(
            output.element_type
        )
        return with_positions(again, *positions_of(output)) if was_read(output) else again


class _Redeliver(beam.DoFn):
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def setup(self) -> None:
        self._random = random.Random(self._seed)  # noqa: S311 (for tests)

    def start_bundle(self) -> None:
        self._held = list[WindowedValue]()

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> tuple[()]:
        self._held.append(WindowedValue(element, timestamp, (window,)))
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        twice = [value for value in self._held if self._random.random() < 0.5]
        delivered = self._held + twice
        self._random.shuffle(delivered)
        yield from delivered
