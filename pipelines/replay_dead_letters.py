"""Replays dead letters: sends their messages back to the source queues once the cause is fixed.

```
dead letters --> choose --send----> the item's source queue --> journal
                   |--keep--------> dead letters, at the end
                   +--refused-----> sent back too often: another queue
```

    python pipelines/replay_dead_letters.py \\
        --dead_letters 'sqlite:///data/queues.db?topic=dead_letters&group=replay' \\
        --where 'error_type == "TimeoutError" && attempts < 5' --dry_run

Without --dry_run these letters are sent back: the original message, byte for byte, with its key, its attributes, its
unchanged id (`message_id`) and one more in the count `beam_patterns.replays`. If the message fails again, its new dead
letter carries both, so --where can contain `replays > 0`. A message that does not fail again is resolved; with a
--journal every dry run counts both. Letters that are not chosen go to the end of the dead-letter queue, so nothing is
lost and a second replay finds only new letters. A run that is killed sends some items twice, with the same id.

Fields for --where: payload, key, attributes, source, queue, event_time, step, attempts, first_failed_at,
last_failed_at, error_type, error_message, traceback, fingerprint, pipeline, version, replays. Bytes are text, times are
timestamps: `step == "Email" && last_failed_at > timestamp("2026-01-31T00:00:00Z")`.
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsSingleton, PCollection
from apache_beam.typehints import Tuple

from beam_patterns.pipelines import Ended, Expression, Options, Places, launch, option, queue, source, switch
from beam_patterns.pipelines.parts.replay.letters import letter_condition
from beam_patterns.pipelines.parts.replay.send import SendBack
from beam_patterns.pipelines.parts.replay.summary import log_summary
from beam_patterns.pipelines.parts.replay.target import Target
from beam_patterns.pipelines.parts.replay.verdicts import Inspect, LetterFacts, Partition, Parts, Rules, Verdicts
from beam_patterns.pipelines.runtime.queues import check_queues, prepared
from beam_patterns.transforms.extend import positions_of, with_positions
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue


class ReplayDeadLettersOptions(Options):
    """Replays dead letters: sends their messages back to the source queues once the cause is fixed."""

    dead_letters: str = option(
        "The queue of dead letters; its group records which letters were replayed. A Pub/Sub subscription needs its "
        "topic too, into which kept letters are put back: pubsub://project/dead-replay?topic=dead.",
        example="'sqlite:///data/queues.db?topic=dead_letters&group=replay'",
        type=source,
    )
    to: str = option(
        "Where the items go; {queue} stands for the name of the item's source queue. Default: that queue on the "
        "broker, or in the database, of the dead letters.",
        example="'kafka://localhost:9092/{queue}'",
        default="",
    )
    where: Expression | None = option(
        "Which letters to send back, as a condition in CEL over their fields; default: all.",
        example="'error_type == \"TimeoutError\" && attempts < 5'",
        type=letter_condition,
        default=None,
    )
    limit: int = option(
        "The largest number of items to send back, those that failed first; 0: all.", example="100", type=int, default=0
    )
    rate: float = option(
        "The largest number of items per second; 0: as fast as possible.", example="50", type=float, default=0.0
    )
    most_replays: int = option("How often an item may be sent back.", example="3", type=int, default=3)
    refused: str = option(
        "The queue for letters of items that were sent back too often; default: they are kept.",
        example="'sqlite:///data/queues.db?topic=hopeless'",
        type=queue,
        default="",
    )
    journal: str = option(
        "The queue that records which item was sent back where and when; required for letters in files, which have no "
        "group.",
        example="'sqlite:///data/queues.db?topic=replayed&group=replay'",
        type=source,
        default="",
    )
    dry_run: bool = option("Only show which letters would be sent back.", example="true", type=switch, default=False)

    streams: ClassVar[bool] = False

    def check(self) -> None:
        keeps_positions = open_queue(self.dead_letters).keeps_positions
        if not keeps_positions and not self.journal and not self.dry_run:
            raise ValueError(
                f"--journal: {self.dead_letters} has no group that records which letters were replayed; write for "
                "instance --journal 'sqlite:///data/queues.db?topic=replayed&group=replay'"
            )
        named = {"--refused": self.refused, "--journal": self.journal, "--to": self.to}
        writes = [(name, uri) for name, uri in named.items() if uri and "{queue}" not in uri]
        check_queues([("--dead_letters", self.dead_letters)], writes, self.streaming)
        if self.journal and not open_queue(self.journal).keeps_positions:
            raise ValueError(f"--journal: {self.journal} does not keep positions; use Kafka or SQLite with a group")
        if not self.dry_run:
            self._check_put_back()
        if min(self.limit, self.rate) < 0 or self.most_replays < 1:
            raise ValueError("--limit and --rate must be 0 or more, --most_replays 1 or more")
        if self.rate and not keeps_positions and self.to and not Target(self.to).kind().keeps_positions:
            raise ValueError(f"--rate: {self.to} is a file, which is written as a whole; leave --rate out")
        self.rules()

    def _check_put_back(self) -> None:
        try:
            open_queue(self.dead_letters).append_uri()
        except ValueError as error:
            raise ValueError(f"--dead_letters: {error}") from None

    def rules(self) -> Rules:
        """Which letters are sent back, and to which queue."""
        to = Target(self.to) if self.to else Target.beside(self.dead_letters)
        to.kind()
        return Rules(self.where, self.limit or None, self.most_replays, to, self.refused)


def choose(letters: PCollection[Message], journal: PCollection, rules: Rules) -> tuple[PCollection, Parts]:
    """The graph without I/O: the verdicts on the messages of the dead-letter queue, and the letters by verdict."""
    facts = letters | "Look" >> beam.Map(Inspect(rules)).with_output_types(LetterFacts)
    gathered = facts | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
    verdicts = gathered | "Decide" >> beam.Map(_decide, rules, AsIter(journal)).with_output_types(Verdicts)
    return verdicts, letters | "Choose" >> Partition(verdicts)


def _decide(facts: list[LetterFacts], rules: Rules, journal: Iterable[tuple[str, float]]) -> Verdicts:
    entries = list(journal)
    verdicts = Verdicts.of(facts, entries, rules)
    log_summary(facts, verdicts, entries)
    return verdicts


def build(p: beam.Pipeline, o: ReplayDeadLettersOptions) -> Places | None:
    """The graph between the queues of the options; returns where the results are."""
    rules = o.rules()
    letters = p | "ReadLetters" >> ReadFromQueue(o.dead_letters)
    verdicts, parts = choose(letters, _journal(p, o.journal), rules)
    if o.dry_run:
        return {}
    sent = parts.send | ("SendSlowly" if o.rate else "Send") >> SendBack(rules.to, o.rate)
    written = [sent | "WriteJournal" >> WriteToQueue(o.journal) if o.journal else sent]
    if o.refused:
        written.append(parts.refused | "WriteRefused" >> WriteToQueue(o.refused))
    if open_queue(o.dead_letters).keeps_positions:
        end = open_queue(o.dead_letters).append_uri()
        written.append(parts.keep | "PutBack" >> WriteToQueue(end))
        written.append(parts.foreign | "PutBackForeign" >> WriteToQueue(end))
    tuple(written) | "Commit" >> CommitOffsets(_if_any_moves(letters, verdicts))
    places = {"items": rules.to.uri, "journal": o.journal, "refused": o.refused}
    return {name: place for name, place in places.items() if place}


def _journal(p: beam.Pipeline, uri: str) -> PCollection:
    """The failures that were sent back before: the items' ids, and when they failed."""
    kind = Tuple[str, float]
    if not uri:
        return p | "NoJournal" >> beam.Create([], reshuffle=False).with_output_types(kind)
    entries = p | "ReadJournal" >> ReadFromQueue(prepared(uri))  # Never committed: every run reads all of it.
    return entries | "Entry" >> beam.Map(_entry).with_output_types(kind)


def _entry(message: Message) -> tuple[str, float]:
    entry = message.json()
    return entry["message_id"], entry["failed_at"]


def _if_any_moves(letters: PCollection, verdicts: PCollection) -> PCollection:
    """The letters, whose positions are committed only if the kept letters are put back at the end of the queue."""
    queue, positions = positions_of(letters)
    if positions is not None:
        moving = positions | "IfAnyMoves" >> beam.Filter(_moves, AsSingleton(verdicts))
        return with_positions(letters, queue, moving)
    return letters


def _moves(unused_position: Any, verdicts: Verdicts) -> bool:
    return verdicts.moves


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code, with the balance."""
    return launch(ReplayDeadLettersOptions, build, argv)
