"""The summary of a dead-letter queue: a line per kind of failure."""

import logging
from collections import Counter
from collections.abc import Sequence

from .verdicts import REFUSED, SEND, LetterFacts, Verdicts

__all__ = ["log_summary"]

_LOG = logging.getLogger(__name__)


def log_summary(facts: Sequence[LetterFacts], verdicts: Verdicts, journal: Sequence[tuple[str, float]]) -> None:
    """Logs a line per kind of failure, most frequent first, and how many items of the journal are resolved."""
    _LOG.info("%-16s %9s %9s %9s %13s  %s", "fingerprint", "letters", "chosen", "refused", "failed again", "what")
    groups: dict[str, list[LetterFacts]] = {}
    for one in facts:
        if one.fingerprint:
            groups.setdefault(one.fingerprint, []).append(one)
    for fingerprint, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        found = [verdicts.by_place.get(one.place) for one in group]
        numbers = len(group), found.count(SEND), found.count(REFUSED), sum(one.replays > 0 for one in group)
        _LOG.info("%-16s %9d %9d %9d %13d  %s", fingerprint, *numbers, min(group).failure)
    for obstacle, number in Counter(one.obstacle for one in facts if one.obstacle).items():
        _LOG.warning("%d kept: %s", number, obstacle)
    sent = {identity for identity, _ in journal}
    failed_again = sent & {one.identity for one in facts if one.replays}
    if sent:
        resolved = len(sent) - len(failed_again)
        _LOG.info("of %d sent back before, %d failed again, %d are resolved", len(sent), len(failed_again), resolved)
