"""Why a run failed, in one sentence."""

import re
from collections.abc import Iterator

from beam_patterns.transforms import BreakerError, ElementError
from beam_patterns.transforms.queues import QueueError

__all__ = ["sentence", "was_interrupted"]

#: Errors made for people; a runner may have wrapped them or turned them into text.
_OURS = (QueueError, ElementError, BreakerError, ValueError)
_AUGMENTED = re.compile(r"\s*\[while running '[^']*'\]")
#: An error of a worker in another process, inside the text of the runner's error.
_IN_TRACE = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(?:[\w.]*\.)?(\w+): (.+)")
_IN_TEXT = re.compile(
    r"^(?:[\w.]*\.)?(QueueError|UnreadableError|ElementError|BreakerError|ValueError|\w+Error|\w+Exception): (.+)", re.M
)


def sentence(error: BaseException) -> str:
    """The sentence of the first cause that is made for people, otherwise the first error.

    >>> sentence(RuntimeError("Traceback ...\\nx.y.QueueError: no broker at a:9092 [while running 'R']"))
    'no broker at a:9092'
    >>> sentence(RuntimeError("x.JobException: y: Traceback (most recent call last):\\n  at a\\nlib.Invalid: no row"))
    'Invalid: no row'
    """
    for cause in _causes(error):
        if isinstance(cause, _OURS):
            return _clean(str(cause))
    found = _IN_TEXT.findall(str(error))
    ours = {kind.__name__ for kind in _OURS} | {"UnreadableError"}
    for name, text in found:
        if name in ours:
            return _clean(text)
    others = _IN_TRACE.findall(str(error)) or found
    if others:
        return f"{others[0][0]}: {_clean(others[0][1])}"
    first = next(_causes(error))
    if type(first).__name__ == "FutureTimeoutError":  # Of grpc, without a message.
        return "the runner's job service does not answer; check --job_endpoint"
    return f"{type(first).__name__}: {_clean(str(first).strip().partition(chr(10))[0]) or 'no message'}"


def was_interrupted(error: BaseException) -> bool:
    """Whether the cause was Ctrl-C, which a runner in this process wraps too."""
    return any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, the innermost first: what was raised before anything wrapped it."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return reversed(chain)


def _clean(text: str) -> str:
    return _AUGMENTED.sub("", text).strip()
