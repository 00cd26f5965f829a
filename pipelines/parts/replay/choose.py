"""Which dead letters are sent back: decided on a few facts about all of them, so that payloads need not be gathered."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput

from beam_patterns.pipelines.cel.expression import Expression
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import RecordCoder, step_counters
from beam_patterns.transforms.queues import Message

from .letters import identity, replays, unaskable, values
from .target import Target

__all__ = ["DUPLICATE", "KEEP", "REFUSED", "SEND", "Choose", "Chosen", "Facts", "Look", "Rules"]

_LOG = logging.getLogger(__name__)
SEND, REFUSED, KEEP, FOREIGN, DUPLICATE = "send", "refused", "keep", "foreign", "duplicate"
_SHOWN = 20


class Rules(NamedTuple):
    """What the operator asked for."""

    where: Expression | None
    limit: int | None
    most_replays: int
    to: Target
    refused: str
    """The queue for letters of items that were sent back too often; empty: they stay."""


@RecordCoder.register
class Facts(NamedTuple):
    """What is known of a letter without its payload."""

    place: tuple[Any, ...]
    """Where the letter lies."""
    identity: str
    wanted: bool
    """Whether it meets the condition and can be sent anywhere."""
    replays: int
    failed_at: float
    fingerprint: str
    what: str
    """For people: step, error and message."""
    obstacle: str
    """For people: why the letter stays, if not for the condition."""


class Look(beam.DoFn):
    """Messages of the dead-letter queue to Facts."""

    def __init__(self, rules: Rules) -> None:
        self._where, self._to = rules.where, rules.to
        self._asked = rules.where.asked if rules.where else frozenset[str]()

    def process(self, message: Message) -> Iterator[Facts]:
        place = tuple(message.source or ())
        try:
            letter = DeadLetter.from_message(message)
        except ValueError as error:
            yield Facts(place, "", False, 0, 0.0, "", "", f"no dead letter: {error}")
            return
        said = letter.error_message.partition("\n")[0][:200]
        wanted, obstacle = self._wanted(letter)
        yield Facts(
            place=place,
            identity=identity(letter),
            wanted=wanted,
            replays=replays(letter),
            failed_at=letter.last_failed_at,
            fingerprint=letter.fingerprint,
            what=f"{letter.step}: {letter.error_type}: {said}",
            obstacle=obstacle,
        )

    def _wanted(self, letter: DeadLetter) -> tuple[bool, str]:
        fields = values(letter)
        if field := unaskable(fields, self._asked):
            return False, f"--where asks for {field}, where there is a character U+0000, at which text ends for CEL"
        try:
            meant = self._where is None or self._where(fields)
        except ValueError as error:
            return False, f"--where gives no answer: {error}"
        if meant and self._to.of(letter) is None:
            return False, "made in the pipeline, so no queue is known where it entered; see --to"
        return meant, ""


class Chosen(NamedTuple):
    """The verdict for each letter that does not just stay."""

    verdicts: dict[tuple[Any, ...], str]
    moves: bool
    """Whether any letter leaves the queue, so that its group moves on and what stays must be put back."""

    @staticmethod
    def of(facts: Iterable[Facts], before: Iterable[tuple[str, float]], rules: Rules) -> "Chosen":
        """Oldest failures first; of several letters about one item the latest speaks for it."""
        done = set(before)
        items: dict[Any, list[Facts]] = {}
        for one in sorted(facts, key=lambda one: (one.failed_at, one.place)):
            if one.wanted and (one.identity, one.failed_at) not in done:
                items.setdefault(one.identity or one.place, []).append(one)
        refused = [letters for letters in items.values() if letters[-1].replays >= rules.most_replays]
        sent = [letters for letters in items.values() if letters[-1].replays < rules.most_replays]
        moving = [(REFUSED, refused), (SEND, sent[: rules.limit])]
        if not rules.refused:
            moving = moving[1:]
        _say_refused([letters[-1] for letters in refused], rules)
        verdicts: dict[tuple[Any, ...], str] = {}
        for verdict, chosen in moving:
            for *earlier, last in chosen:
                verdicts |= {one.place: DUPLICATE for one in earlier} | {last.place: verdict}
        return Chosen(verdicts, moves=bool(verdicts))


def _say_refused(letters: list[Facts], rules: Rules) -> None:
    if not letters:
        return
    fate = f"go to {rules.refused}" if rules.refused else "stay in the queue"
    _LOG.warning("%s items were sent back %d times already and %s:", f"{len(letters):,}", rules.most_replays, fate)
    for one in letters[:_SHOWN]:
        _LOG.warning("  %s  %s", one.identity or _shown(one.place), one.what)
    if len(letters) > _SHOWN:
        _LOG.warning("  and %s more", f"{len(letters) - _SHOWN:,}")


class Choose(beam.PTransform):
    """The letters by what becomes of them: send, refused, keep; and what is no dead letter, `foreign`, as it is."""

    def __init__(self, chosen: PCollection) -> None:
        super().__init__()
        self._chosen = chosen

    def expand(self, letters: PCollection) -> Any:
        step = beam.ParDo(_Part(), AsSingleton(self._chosen))
        outputs = letters | "Part" >> step.with_outputs(REFUSED, KEEP, FOREIGN, main=SEND)
        for name in (SEND, REFUSED, KEEP):
            outputs[name].element_type = DeadLetter
        outputs[FOREIGN].element_type = Message
        return outputs


class _Part(beam.DoFn):
    def start_bundle(self) -> None:
        names = ("in", "out", "dropped", "duplicates", SEND, REFUSED, KEEP)
        self._counters = dict(zip(names, step_counters("Choose", names), strict=True))

    def process(self, message: Message, chosen: Chosen) -> Iterator[Any]:
        count = self._counters
        count["in"].inc()
        verdict = chosen.verdicts.get(tuple(message.source or ()), KEEP)
        if verdict == DUPLICATE:
            count["duplicates"].inc()
            return
        count[verdict].inc()
        if not chosen.moves:
            count["dropped"].inc()
            return
        count["out"].inc()
        try:
            letter = DeadLetter.from_message(message)
        except ValueError:
            yield TaggedOutput(FOREIGN, message)
            return
        yield letter if verdict == SEND else TaggedOutput(verdict, letter)


def _shown(place: Any) -> str:
    return "/".join(map(str, place or ("a letter",)))
