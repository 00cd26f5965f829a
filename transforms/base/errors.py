"""Errors for users: one sentence that names what is wrong, with which value, and the fix."""

from typing import Any


class ElementError(RuntimeError):
    """User code failed on an element, and no error handler was given."""


class BreakerError(RuntimeError):
    """Most items failed the same way: the items are not at fault, so the run was stopped."""


class QueueError(Exception):
    """A queue can't be reached, read or written."""


class UnreadableError(QueueError):
    """A part of a queue does not hold messages, such as a truncated file.

    The dead letter gets the part's bytes as its payload, and the part's offset if it differs from that of the split.
    """

    def __init__(self, sentence: str, payload: bytes = b"", offset: int | None = None) -> None:
        super().__init__(sentence)
        self.payload, self.offset = payload, offset

    def __reduce__(self) -> Any:
        return UnreadableError, (str(self), self.payload, self.offset)
