"""What lies in a dead-letter queue, by fingerprint."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .choose import REFUSED, SEND, Chosen, Facts

__all__ = ["Kind", "kinds", "say"]

_LOG = logging.getLogger(__name__)


class Kind(NamedTuple):
    """Failures of one kind."""

    fingerprint: str
    letters: int
    chosen: int
    refused: int
    failed_again: int
    what: str


def kinds(facts: Iterable[Facts], chosen: Chosen) -> list[Kind]:
    """The most frequent first."""
    groups: dict[str, list[Facts]] = {}
    for one in facts:
        if one.fingerprint:
            groups.setdefault(one.fingerprint, []).append(one)
    found = [_kind(fingerprint, group, chosen) for fingerprint, group in groups.items()]
    return sorted(found, key=lambda kind: (-kind.letters, kind.fingerprint))


def _kind(fingerprint: str, group: list[Facts], chosen: Chosen) -> Kind:
    verdicts = [chosen.verdicts.get(one.place) for one in group]
    again = sum(one.replays > 0 for one in group)
    return Kind(fingerprint, len(group), verdicts.count(SEND), verdicts.count(REFUSED), again, min(group).what)


def say(facts: Iterable[Facts], chosen: Chosen, before: Iterable[tuple[str, float]]) -> None:
    """A line per kind, and what became of the items that the journal knows."""
    facts = list(facts)
    found = kinds(facts, chosen)
    _LOG.info("%-16s %9s %9s %9s %13s  %s", "fingerprint", "letters", "chosen", "refused", "failed again", "what")
    for kind in found:
        _LOG.info("%-16s %9d %9d %9d %13d  %s", *kind)
    for obstacle, number in Counter(one.obstacle for one in facts if one.obstacle).items():
        _LOG.warning("%d stay: %s", number, obstacle)
    sent = {identity for identity, _ in before}
    failed_again = sent & {one.identity for one in facts if one.replays}
    if sent:
        resolved = len(sent) - len(failed_again)
        _LOG.info("of %d sent back before, %d failed again, %d are resolved", len(sent), len(failed_again), resolved)
