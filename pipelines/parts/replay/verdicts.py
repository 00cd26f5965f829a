"""Which dead letters are sent back: decided on a few facts about all letters, so that no payloads are gathered."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput

from beam_patterns.pipelines import Expression
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import RecordCoder, step_counters
from beam_patterns.transforms.queues import Message

from .letters import fields, identity, replays
from .target import Target

__all__ = ["REFUSED", "SEND", "Inspect", "LetterFacts", "Partition", "Parts", "Rules", "Verdicts"]

_LOG = logging.getLogger(__name__)
SEND, REFUSED, KEEP, FOREIGN, DUPLICATE = "send", "refused", "keep", "foreign", "duplicate"
_SHOWN = 20


class Rules(NamedTuple):
    """The options that decide about a letter."""

    where: Expression | None
    limit: int | None
    most_replays: int
    to: Target
    refused: str
    """The queue for letters of items that were sent back too often; empty if they are kept."""


@RecordCoder.register
class LetterFacts(NamedTuple):
    """What the decision needs to know about a letter, without its payload."""

    place: tuple[Any, ...]
    """The letter's position in its queue."""
    identity: str
    is_wanted: bool
    """Whether it meets the condition and has a queue to be sent to."""
    replays: int
    failed_at: float
    fingerprint: str
    failure: str
    """For people: step, error type and message."""
    obstacle: str
    """For people: why the letter is kept, if not by the condition."""


class Inspect:
    """The facts about a message of the dead-letter queue."""

    def __init__(self, rules: Rules) -> None:
        self._where, self._to = rules.where, rules.to

    def __call__(self, message: Message) -> LetterFacts:
        place = tuple(message.source or ())
        try:
            letter = DeadLetter.from_message(message)
        except ValueError as error:
            return LetterFacts(place, "", False, 0, 0.0, "", "", str(error))
        first_line = letter.error_message.partition("\n")[0][:200]
        failure = f"{letter.step}: {letter.error_type}: {first_line}"
        obstacle, is_wanted = "", False
        try:
            is_wanted = self._where is None or self._where(fields(letter))
        except ValueError as error:
            obstacle = f"--where has no value: {error}"
        if is_wanted and self._to.of(letter) is None:
            obstacle = "created in the pipeline, so the item has no source queue; name the target with --to"
        known = identity(letter), is_wanted and not obstacle, replays(letter)
        return LetterFacts(place, *known, letter.last_failed_at, letter.fingerprint, failure, obstacle)


class Verdicts(NamedTuple):
    """The verdict for each letter that is not simply kept."""

    by_place: dict[tuple[Any, ...], str]
    moves: bool
    """Whether any letter leaves the queue, so that its group moves on and kept letters must be put back."""

    @staticmethod
    def of(facts: Iterable[LetterFacts], journal: Iterable[tuple[str, float]], rules: Rules) -> "Verdicts":
        """Oldest failures first; of several letters about one item the latest decides."""
        done = set(journal)
        items: dict[Any, list[LetterFacts]] = {}
        for one in sorted(facts, key=lambda one: (one.failed_at, one.place)):
            if one.is_wanted and (one.identity, one.failed_at) not in done:
                items.setdefault(one.identity or one.place, []).append(one)
        refused = [letters for letters in items.values() if letters[-1].replays >= rules.most_replays]
        sent = [letters for letters in items.values() if letters[-1].replays < rules.most_replays]
        _log_refused([letters[-1] for letters in refused], rules)
        by_place: dict[tuple[Any, ...], str] = {}
        for verdict, chosen in ((REFUSED, refused if rules.refused else []), (SEND, sent[: rules.limit])):
            for *earlier, last in chosen:
                by_place |= {one.place: DUPLICATE for one in earlier} | {last.place: verdict}
        return Verdicts(by_place, moves=bool(by_place))


def _log_refused(letters: list[LetterFacts], rules: Rules) -> None:
    if not letters:
        return
    fate = f"go to {rules.refused}" if rules.refused else "stay in the queue"
    _LOG.warning("%s items were sent back %d times already and %s:", f"{len(letters):,}", rules.most_replays, fate)
    for one in letters[:_SHOWN]:
        _LOG.warning("  %s  %s", one.identity or "/".join(map(str, one.place or ("a letter",))), one.failure)
    if len(letters) > _SHOWN:
        _LOG.warning("  and %s more", f"{len(letters) - _SHOWN:,}")


class Parts(NamedTuple):
    """The letters by what happens to them."""

    send: PCollection
    """PCollection[DeadLetter] to send back."""
    refused: PCollection
    """PCollection[DeadLetter] of items that were sent back too often, if there is a queue for them."""
    keep: PCollection
    """PCollection[DeadLetter] to put back, because the group moves past them."""
    foreign: PCollection
    """PCollection[Message] to put back: messages that are not dead letters."""


class Partition(beam.PTransform):
    """Divides the letters by their verdict, a single element of another stream. Returns Parts."""

    def __init__(self, verdicts: PCollection) -> None:
        super().__init__()
        self._verdicts = verdicts

    def expand(self, letters: PCollection) -> Any:
        step = beam.ParDo(_Partition(), AsSingleton(self._verdicts))
        step.label = "ParDo(_Part)"
        outputs = letters | "Part" >> step.with_outputs(REFUSED, KEEP, FOREIGN, main=SEND)
        for name in Parts._fields:
            outputs[name].element_type = Message if name == FOREIGN else DeadLetter
        return Parts(*(outputs[name] for name in Parts._fields))


class _Partition(beam.DoFn):
    def start_bundle(self) -> None:
        names = ("in", "out", "dropped", "duplicates", SEND, REFUSED, KEEP)
        self._counters = dict(zip(names, step_counters("Partition", names), strict=True))

    def process(self, message: Message, verdicts: Verdicts) -> Iterator[Any]:
        count = self._counters
        count["in"].inc()
        verdict = verdicts.by_place.get(tuple(message.source or ()), KEEP)
        if verdict == DUPLICATE:
            count["duplicates"].inc()
            return
        count[verdict].inc()
        if not verdicts.moves:
            count["dropped"].inc()
            return
        count["out"].inc()
        try:
            letter = DeadLetter.from_message(message)
        except ValueError:
            yield TaggedOutput(FOREIGN, message)
            return
        yield letter if verdict == SEND else TaggedOutput(verdict, letter)
