"""Dead letters of a run by fingerprint, gathered while it goes on: how many, and one of each as an example."""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from beam_patterns.transforms import DeadLetter, DeadLetters

__all__ = ["LABEL", "Gathered", "Kind"]

#: Of the step that gathers, which is no part of the flow and not in its picture.
LABEL = "ReportLetters"
_FOUND: dict[tuple[int, int], list["Kind"]] = {}
_PLACES = itertools.count()


class Kind(NamedTuple):
    """Failures of one kind."""

    fingerprint: str
    number: int
    example: DeadLetter


class Gathered:
    """To be made when the pipeline is complete and has not run; once it has, `kinds` are there.

    The runner must work in this process; elsewhere `known` stays False.
    """

    def __init__(self, pipeline: beam.Pipeline) -> None:
        run = next(_PLACES)
        found = _Letters()
        pipeline.visit(found)
        for i, letters in enumerate(found.letters):
            letters | f"{LABEL}{i}" >> _Gather((run, i))
        self._places = [(run, i) for i in range(len(found.letters))]

    @property
    def known(self) -> bool:
        """Whether the run told; a pipeline that can have no dead letters has none."""
        return all(place in _FOUND for place in self._places)

    @property
    def kinds(self) -> list[Kind]:
        """The most frequent first."""
        merged: dict[str, Kind] = {}
        for kind in (kind for place in self._places for kind in _FOUND.get(place, [])):
            before = merged.get(kind.fingerprint)
            merged[kind.fingerprint] = kind._replace(number=kind.number + before.number) if before else kind
        return sorted(merged.values(), key=lambda kind: (-kind.number, kind.fingerprint))


class _Letters(PipelineVisitor):
    """What DeadLetters made."""

    def __init__(self) -> None:
        self.letters: list[PCollection] = []

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        if isinstance(transform_node.transform, DeadLetters):
            self.letters += transform_node.outputs.values()


class _Gather(beam.PTransform):
    def __init__(self, place: tuple[int, int]) -> None:
        super().__init__()
        self._place = place

    def expand(self, letters: PCollection) -> PCollection:
        return (
            letters
            | "Globally" >> beam.WindowInto(GlobalWindows())
            | "ByFingerprint" >> beam.Map(_by_fingerprint).with_output_types(Tuple[str, DeadLetter])
            | "Example" >> beam.CombinePerKey(_Example())
            | "Kinds" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            | "Tell" >> beam.FlatMap(_tell, self._place).with_output_types(int)
        )


def _by_fingerprint(letter: DeadLetter) -> tuple[str, DeadLetter]:
    return letter.fingerprint, letter


class _Example(beam.CombineFn):
    """The number, and the letter that failed first."""

    def create_accumulator(self) -> tuple[int, Any]:
        return 0, None

    def add_input(self, accumulator: tuple[int, Any], letter: DeadLetter) -> tuple[int, Any]:
        number, example = accumulator
        return number + 1, _first(example, letter)

    def merge_accumulators(self, accumulators: Iterable[tuple[int, Any]]) -> tuple[int, Any]:
        total, first = 0, None
        for number, example in accumulators:
            total, first = total + number, _first(first, example)
        return total, first

    def extract_output(self, accumulator: tuple[int, Any]) -> tuple[int, Any]:
        return accumulator


def _first(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda letter: letter.first_failed_at)


def _tell(kinds: list[Any], place: tuple[int, int]) -> tuple[()]:
    _FOUND[place] = [Kind(name, number, example) for name, (number, example) in kinds]
    return ()
