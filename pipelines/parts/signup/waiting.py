"""A look into the pending queue, without a pipeline."""

import logging

from beam_patterns.pipelines.runtime.queues import messages_of

from .records import waiting

__all__ = ["any_expired"]

_LOG = logging.getLogger(__name__)


def any_expired(pending: str, oldest: float) -> bool:
    """Whether something has waited since before `oldest`; what can't be read as pending is for a run to look at."""
    count = 0
    for message in messages_of(pending):
        try:
            if waiting(message).first_seen < oldest:
                return True
        except ValueError:
            return True
        count += 1
    _LOG.info("%s wait for their partner in %s", f"{count:,}", pending)
    return False
