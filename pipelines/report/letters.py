"""Dead letters of a run by fingerprint, collected during the run: how many there are, and one of each as an example."""

import itertools
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import Tuple

from beam_patterns.transforms import DeadLetter, DeadLetters

__all__ = ["LABEL", "LetterGroup", "LetterGroups"]

#: Begins the label of each collecting step, which is not part of the flow and not in its picture.
LABEL = "ReportLetters"
_Counted = tuple[int, DeadLetter]
#: What each collecting step of each run found, in a runner that works in this process.
_FOUND: dict[tuple[int, int], list["LetterGroup"]] = {}
_RUNS = itertools.count()


class LetterGroup(NamedTuple):
    """Dead letters with the same fingerprint."""

    fingerprint: str
    size: int
    example: DeadLetter
    """The one that failed first."""


class LetterGroups(PipelineVisitor):
    """Adds steps that collect the dead letters. Create it when the pipeline is built and has not run."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        run, self._letters = next(_RUNS), list[Any]()
        pipeline.visit(self)
        self._steps = [(run, number) for number in range(len(self._letters))]
        for step, letters in zip(self._steps, self._letters, strict=True):
            letters | f"{LABEL}{step[1]}" >> _Collect(step)

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        """Notes the outputs of DeadLetters."""
        if isinstance(transform_node.transform, DeadLetters):
            self._letters += transform_node.outputs.values()

    @property
    def known(self) -> bool:
        """Whether all steps have run in this process."""
        return all(step in _FOUND for step in self._steps)

    @property
    def groups(self) -> list[LetterGroup]:
        """The groups found, the largest first."""
        merged: dict[str, LetterGroup] = {}
        for group in (group for step in self._steps for group in _FOUND.get(step, [])):
            other = merged.get(group.fingerprint)
            merged[group.fingerprint] = group._replace(size=group.size + other.size) if other else group
        return sorted(merged.values(), key=lambda group: (-group.size, group.fingerprint))


class _Collect(beam.PTransform):
    def __init__(self, step: tuple[int, int]) -> None:
        super().__init__()
        self._step = step

    def expand(self, letters: PCollection) -> PCollection:
        return (
            letters
            | "Globally" >> beam.WindowInto(GlobalWindows())
            | "ByFingerprint" >> beam.Map(_by_fingerprint).with_output_types(Tuple[str, Tuple[int, DeadLetter]])
            | "Example" >> beam.CombinePerKey(_counted)
            | "Kinds" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            | "Tell" >> beam.FlatMap(_keep, self._step).with_output_types(int)
        )


def _by_fingerprint(letter: DeadLetter) -> tuple[str, _Counted]:
    return letter.fingerprint, (1, letter)


def _counted(letters: Iterable[_Counted]) -> _Counted:
    """The number of letters, and the one that failed first."""
    counts, examples = zip(*letters, strict=True)
    return sum(counts), min(examples, key=attrgetter("first_failed_at"))


def _keep(groups: list[tuple[str, _Counted]], step: tuple[int, int]) -> tuple[()]:
    _FOUND[step] = [LetterGroup(fingerprint, *counted) for fingerprint, counted in groups]
    return ()
