"""Dead letters are sent back to where their items entered, when the cause is fixed.

```
dead letters --> choose --send----> the queue where the item entered --> journal
                   |--keep--------> dead letters, at the end
                   +--refused-----> sent back too often: a queue of their own
```

    python pipelines/replay_dead_letters.py \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters&group=replay' \\
        --where 'error_type == "TimeoutError" && attempts < 5' --dry_run

Without --dry_run the same letters are sent back: the original message, byte for byte, with its key and attributes, the
id it always had (`message_id`) and one more count in `beam_patterns.replays`. If it fails again, its new dead letter
carries both, so --where can say `replays > 0`; what does not come back is resolved, and with a --journal every dry run
counts both. Letters that are not chosen go to the end of the dead-letter queue, so nothing is lost and a second replay
finds only what is new. A run that is killed sends some items twice, under the same id.

Fields for --where: payload, key, attributes, source, queue, event_time, step, attempts, first_failed_at,
last_failed_at, error_type, error_message, traceback, fingerprint, pipeline, version, replays. Bytes are text, times are
timestamps: `step == "Email" && last_failed_at > timestamp("2026-01-31T00:00:00Z")`.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton, PCollection
from apache_beam.typehints import Tuple

from beam_patterns.pipelines import (
    Ended,
    Options,
    Places,
    check_queues,
    launch,
    option,
    prepared,
    queue,
    source,
    switch,
)
from beam_patterns.pipelines.cel.expression import Expression
from beam_patterns.pipelines.parts.replay.choose import FOREIGN, KEEP, REFUSED, SEND, Choose, Chosen, Facts, Look, Rules
from beam_patterns.pipelines.parts.replay.letters import VARIABLES
from beam_patterns.pipelines.parts.replay.send import SendBack, SendSlowly
from beam_patterns.pipelines.parts.replay.summary import say
from beam_patterns.pipelines.parts.replay.target import Target
from beam_patterns.transforms.extend import positions_of, with_positions
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue


class ReplayDeadLettersOptions(Options):
    """Dead letters are sent back to where their items entered."""

    dead_letters: str = option(
        "The queue of dead letters; its group remembers what was replayed. Of a Pub/Sub subscription with its topic, "
        "into which letters that stay are put back: pubsub://project/dead-replay?topic=dead.",
        example="'sqlite:///data/queues.db?topic=dead_letters&group=replay'",
        type=source,
    )
    to: str = option(
        "Where the items go; {queue} stands for the name of the queue where an item entered. Default: that queue on "
        "the broker, or in the database, of the dead letters.",
        example="'kafka://localhost:9092/{queue}'",
        default="",
    )
    where: str = option(
        "Which letters, as a condition in CEL over their fields.",
        example="'error_type == \"TimeoutError\" && attempts < 5'",
        default="",
    )
    limit: int = option("How many items at most, those that failed first; 0: all.", example="100", type=int, default=0)
    rate: float = option(
        "How many items a second at most; 0: as fast as it goes.", example="50", type=float, default=0.0
    )
    most_replays: int = option("How often an item may be sent back.", example="3", type=int, default=3)
    refused: str = option(
        "The queue for letters of items that were sent back too often; default: they stay.",
        example="'sqlite:///data/queues.db?topic=hopeless'",
        type=queue,
        default="",
    )
    journal: str = option(
        "The queue that keeps which item was sent back where and when; needed for letters in files, where no group "
        "remembers it.",
        example="'sqlite:///data/queues.db?topic=replayed&group=replay'",
        type=source,
        default="",
    )
    dry_run: bool = option("Only show what would be sent back.", example="true", type=switch, default=False)

    streams: ClassVar[bool] = False

    def check(self) -> None:
        """Values that make no sense, found before anything starts."""
        remembers = open_queue(self.dead_letters).keeps_positions
        if not remembers and not self.journal and not self.dry_run:
            raise ValueError(
                f"--journal: {self.dead_letters} can't remember what was replayed; write for instance "
                "--journal 'sqlite:///data/queues.db?topic=replayed&group=replay'"
            )
        named = {"--refused": self.refused, "--journal": self.journal, "--to": self.to}
        writes = [(name, uri) for name, uri in named.items() if uri and "{queue}" not in uri]
        check_queues([("--dead_letters", self.dead_letters)], writes, self.streaming)
        if self.journal and not open_queue(self.journal).keeps_positions:
            raise ValueError(f"--journal: {self.journal} is a file; take a Kafka or SQLite queue with a group")
        if not self.dry_run:
            self._check_put_back()
        if min(self.limit, self.rate) < 0 or self.most_replays < 1:
            raise ValueError("--limit and --rate are 0 or more, --most_replays is 1 or more")
        if self.rate and not remembers and self.to and not Target(self.to).kind().keeps_positions:
            raise ValueError(f"--rate: {self.to} is a file, which is written as a whole; leave --rate out")
        self.rules()

    def _check_put_back(self) -> None:
        try:
            open_queue(self.dead_letters).append_uri()
        except ValueError as error:
            raise ValueError(f"--dead_letters: {error}") from None

    def rules(self) -> Rules:
        """Which letters are sent back, and where to."""
        try:
            where = Expression(self.where, VARIABLES) if self.where else None
        except ValueError as error:
            raise ValueError(f"--where: {error}") from None
        to = Target(self.to) if self.to else Target.beside(self.dead_letters)
        to.kind()
        return Rules(where, self.limit or None, self.most_replays, to, self.refused)


class Parts(NamedTuple):
    """What becomes of the letters; each a PCollection[DeadLetter], but for the first and the last."""

    chosen: PCollection
    """PCollection[Chosen], one element: the verdicts."""
    send: PCollection
    """To be sent back."""
    refused: PCollection
    """Sent back too often, if they have a queue of their own."""
    keep: PCollection
    """To be put back, as the group moves past them."""
    foreign: PCollection
    """The same, PCollection[Message]: no dead letters."""


def choose(letters: PCollection, journal: PCollection, rules: Rules) -> Parts:
    """The choice, from messages of the dead-letter queue and the journal's entries; nothing is sent yet."""
    facts = letters | "Look" >> beam.ParDo(Look(rules)).with_output_types(Facts)
    gathered = facts | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
    chosen = gathered | "Decide" >> beam.Map(_decide, rules, AsIter(journal)).with_output_types(Chosen)
    outputs = letters | "Choose" >> Choose(chosen)
    return Parts(chosen, outputs[SEND], outputs[REFUSED], outputs[KEEP], outputs[FOREIGN])


def _decide(facts: list[Facts], rules: Rules, journal: Iterable[tuple[str, float]]) -> Chosen:
    before = list(journal)
    chosen = Chosen.of(facts, before, rules)
    say(facts, chosen, before)
    return chosen


def build(p: beam.Pipeline, o: ReplayDeadLettersOptions) -> Places | None:
    """The flow between the queues that the options name, and where its results lie."""
    rules = o.rules()
    letters = p | "ReadLetters" >> ReadFromQueue(o.dead_letters)
    parts = choose(letters, _journal(p, o.journal), rules)
    if o.dry_run:
        return {}
    step = "SendSlowly" >> SendSlowly(rules.to, o.rate) if o.rate else "Send" >> SendBack(rules.to)
    sent = parts.send | step
    written = [sent | "WriteJournal" >> WriteToQueue(o.journal) if o.journal else sent]
    if o.refused:
        written.append(parts.refused | "WriteRefused" >> WriteToQueue(o.refused))
    if open_queue(o.dead_letters).keeps_positions:
        end = open_queue(o.dead_letters).append_uri()
        written.append(parts.keep | "PutBack" >> WriteToQueue(end))
        written.append(parts.foreign | "PutBackForeign" >> WriteToQueue(end))
    tuple(written) | "Commit" >> CommitOffsets(_if_any_moves(letters, parts.chosen))
    places = {"items": rules.to.uri, "journal": o.journal, "refused": o.refused}
    return {name: place for name, place in places.items() if place}


def _journal(p: beam.Pipeline, uri: str) -> PCollection:
    """Which failures were sent back before: ids, and when they failed."""
    kind = Tuple[str, float]
    if not uri:
        return p | "NoJournal" >> beam.Create([], reshuffle=False).with_output_types(kind)
    entries = p | "ReadJournal" >> ReadFromQueue(prepared(uri))  # Never committed: all of it counts every time.
    return entries | "Entry" >> beam.Map(_entry).with_output_types(kind)


def _entry(message: Message) -> tuple[str, float]:
    entry = message.json()
    return entry["message_id"], entry["failed_at"]


def _if_any_moves(letters: PCollection, chosen: PCollection) -> PCollection:
    """The letters, whose positions are committed only if the letters that stay are put back behind them."""
    queue, positions = positions_of(letters)
    if positions is not None:
        moving = positions | "IfAnyMoves" >> beam.Filter(_moves, AsSingleton(chosen))
        return with_positions(letters, queue, moving)
    return letters


def _moves(unused_position: Any, chosen: Chosen) -> bool:
    return chosen.moves


def run(argv: Sequence[str] | None = None) -> Ended:
    """The whole pipeline from a command line; returns the exit code, with the balance."""
    return launch(ReplayDeadLettersOptions, build, argv)
