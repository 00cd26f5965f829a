"""The positions of what was read, which ReadFromQueue attaches to its output for CommitOffsets."""

from apache_beam.pvalue import PCollection

from .queue import Queue

__all__ = ["positions_of", "was_read", "with_positions"]

_ATTRIBUTE = "_beam_patterns_positions"


def with_positions(messages: PCollection, queue: Queue, positions: PCollection | None) -> PCollection:
    """The same PCollection, marked as read from a queue for `positions_of` and CommitOffsets.

    Args:
        messages: what was read, or a PCollection made from all that was read.
        queue: the queue.
        positions: PCollection[Position] to commit; None if the read commits by itself.
    """
    setattr(messages, _ATTRIBUTE, (queue, positions))
    return messages


def was_read(messages: PCollection) -> bool:
    """Whether ReadFromQueue made this PCollection."""
    return hasattr(messages, _ATTRIBUTE)


def positions_of(messages: PCollection) -> tuple[Queue, PCollection | None]:
    """The queue that a PCollection was read from, and its positions. Raises TypeError for any other PCollection."""
    if not was_read(messages):
        raise TypeError(
            f"{messages} was not made by ReadFromQueue; give CommitOffsets the PCollection that ReadFromQueue returned"
        )
    return getattr(messages, _ATTRIBUTE)
