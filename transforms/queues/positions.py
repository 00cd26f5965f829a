"""How far messages have been read: what ReadFromQueue leaves for CommitOffsets."""

from apache_beam.pvalue import PCollection

from .queue import Queue

__all__ = ["positions_of", "was_read", "with_positions"]

_ATTRIBUTE = "_beam_patterns_positions"


def with_positions(messages: PCollection, queue: Queue, positions: PCollection | None) -> PCollection:
    """The same messages, which `positions_of` and CommitOffsets know to be read from a queue.

    Args:
        messages: what was read, or was made of all that was read.
        queue: the queue.
        positions: PCollection[Position], to be committed; None if the read commits by itself.
    """
    setattr(messages, _ATTRIBUTE, (queue, positions))
    return messages


def was_read(messages: PCollection) -> bool:
    """Whether a PCollection was made by ReadFromQueue."""
    return hasattr(messages, _ATTRIBUTE)


def positions_of(messages: PCollection) -> tuple[Queue, PCollection | None]:
    """The queue that a PCollection was read from, and its positions. Raises TypeError for any other PCollection."""
    try:
        return getattr(messages, _ATTRIBUTE)
    except AttributeError:
        raise TypeError(
            f"{messages} was not made by ReadFromQueue; give CommitOffsets the PCollection that ReadFromQueue returned"
        ) from None
