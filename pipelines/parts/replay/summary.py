"""The summary of a dead-letter queue: a line per kind of failure."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .verdicts import REFUSED, SEND, LetterFacts, Verdicts

__all__ = ["log_summary"]

_LOG = logging.getLogger(__name__)


class _FailureKind(NamedTuple):
    """Letters with the same fingerprint."""

    fingerprint: str
    letters: int
    chosen: int
    refused: int
    failed_again: int
    failure: str


def log_summary(facts: Iterable[LetterFacts], verdicts: Verdicts, journal: Iterable[tuple[str, float]]) -> None:
    """Logs a line per kind of failure, and how many items of the journal are resolved."""
    facts = list(facts)
    _LOG.info("%-16s %9s %9s %9s %13s  %s", "fingerprint", "letters", "chosen", "refused", "failed again", "what")
    for kind in _kinds(facts, verdicts):
        _LOG.info("%-16s %9d %9d %9d %13d  %s", *kind)
    for obstacle, number in Counter(one.obstacle for one in facts if one.obstacle).items():
        _LOG.warning("%d kept: %s", number, obstacle)
    sent = {identity for identity, _ in journal}
    failed_again = sent & {one.identity for one in facts if one.replays}
    if sent:
        resolved = len(sent) - len(failed_again)
        _LOG.info("of %d sent back before, %d failed again, %d are resolved", len(sent), len(failed_again), resolved)


def _kinds(facts: Iterable[LetterFacts], verdicts: Verdicts) -> list[_FailureKind]:
    """The kinds of failure, most frequent first."""
    groups: dict[str, list[LetterFacts]] = {}
    for one in facts:
        if one.fingerprint:
            groups.setdefault(one.fingerprint, []).append(one)
    kinds = [_kind(fingerprint, group, verdicts) for fingerprint, group in groups.items()]
    return sorted(kinds, key=lambda kind: (-kind.letters, kind.fingerprint))


def _kind(fingerprint: str, group: list[LetterFacts], verdicts: Verdicts) -> _FailureKind:
    found = [verdicts.by_place.get(one.place) for one in group]
    again = sum(one.replays > 0 for one in group)
    return _FailureKind(fingerprint, len(group), found.count(SEND), found.count(REFUSED), again, min(group).failure)
