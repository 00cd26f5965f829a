"""The laws of a queue, as a test for any kind of queue."""

import pickle
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from typing import Any

import apache_beam as beam

from beam_patterns.transforms import DeadLetter, DeadLetters, Filter, queues
from beam_patterns.transforms.queues import Message, Split, open_queue

from .collect import Collect
from .pattern_run import run_pattern

__all__ = ["queue_contract"]


def queue_contract(
    uri: str,
    read: str = "",
    *,
    other: str = "",
    keeps: Collection[str] = ("key", "attributes", "timestamp"),
    rejects: Message | None = None,
    damage: Callable[[], object] | None = None,
) -> None:
    """Raises AssertionError with the name of the law if a kind of queue breaks a law that pipelines rely on.

    >>> queue_contract("memory://doc-contract")

    docs/extending.md explains the laws: addresses, fields, bounded reads, order, at least once, dead letters, commits.
    Laws of positions and offsets apply to kinds that have them; a read-only kind is tested with what it holds.

    Args:
        uri: an empty queue to write, or a queue of a read-only kind.
        read: the URI that reads it; by default `uri` with a new group.
        other: another queue of this kind; by default a sibling, if the kind has siblings.
        keeps: the fields that the kind stores besides the value.
        rejects: a message that the kind rejects.
        damage: a function that adds an unreadable part to the queue.
    """
    laws, is_readonly = _Laws(uri, read, keeps), open_queue(uri).is_readonly
    laws.addresses(other)
    if not is_readonly:
        laws.fields()
    laws.reads()
    if not is_readonly:
        laws.writes([rejects] if rejects else [])
    laws.commits(damage)


class _Laws:
    def __init__(self, uri: str, read: str, keeps: Collection[str]) -> None:
        self._uri, self._read_uri, self._keeps = uri, read or open_queue(uri).read_uri("queue-contract"), keeps
        pairs, now = (("name", b"\x00\xff"), ("text", b"x")), time.time() // 1
        self._samples = [Message(b'{"n":"%d"}' % n, b"%d" % (n % 3), pairs, now + n / 1000) for n in range(30)]

    def addresses(self, other: str) -> None:
        queue, reading = open_queue(self._uri), open_queue(self._read_uri)
        allowed = list[None]()
        for check in (reading.check_readable, queue.check_readable, queue.check_writable):
            with suppress(ValueError):
                allowed.append(check())
        refused = (queue.needs_group and not queue.params.get("group")) + queue.is_readonly
        self._law("addresses", len(allowed) + refused == 3, "check_readable or check_writable is wrong")
        with suppress(Exception):
            allowed.append(pickle.loads(pickle.dumps(reading)).check_readable())  # noqa: S301
        self._law("addresses", len(allowed) + refused == 4, "it can't be pickled")
        other = other or queue.sibling("queue-contract-other") or ""
        differs = not other or not queue.overlaps(open_queue(other))
        self._law("addresses", queue.overlaps(reading) and differs, f"overlaps({self._read_uri}) or ({other}) is wrong")

    def fields(self) -> None:
        odd = [self._samples[0]._replace(value=value) for value in (None, b"", b"\x00\xff\n")]
        rejected = self._write([*self._samples, *odd])
        self._same("fields", self._read(), [*self._samples, *(message for message in odd if message not in rejected)])
        splits = pickle.loads(pickle.dumps(list(open_queue(self._read_uri).splits())))  # noqa: S301
        self._write([late := self._samples[0]._replace(value=b'{"n":"late"}')])
        is_late = late.value in [m.value for m in self._read(splits)] and open_queue(self._uri).counts_messages
        bounded = not is_late and all(split.start < split.stop for split in splits)
        self._law("bounded reads", bounded, f"{splits} has an empty split, or a message written after splits()")

    def reads(self) -> None:
        messages, values = self._read(), [message.value for message in self._samples]
        sources: list[Any] = [message.source for message in messages if message.source]
        self._law("order", len(set(sources)) == len(messages) > 0, "messages have no source, or the same source")
        if isinstance(sources[0][-1], int):
            by_offset = sorted(zip(sources, (message.value for message in messages), strict=True))
            written = [(source[:-1], values.index(value)) for source, value in by_offset if value in values]
            is_ordered = [source for source, _ in by_offset] == sorted(sources, key=lambda source: source[:-1])
            self._law("order", is_ordered and written == sorted(written), "messages of a partition are not in order")
        first, *others = (Counter(m.with_id() for m in read) for read in (messages, self._read(), self._run()[0]))
        self._law("at least once", all(other == first for other in others), "a second read without a commit differs")

    def writes(self, bad: list[Message]) -> None:
        before, made = self._run()[0], [m._replace(source=("orders", 0, n)) for n, m in enumerate(self._samples)]
        self._law("dead letters", self._write(bad) == bad, f"flush did not return {bad}")
        for _ in range(2):
            payloads = [letter.payload for letter in run_pattern(queues.WriteToQueue(self._uri), [*made, *bad]).dead]
            self._law("dead letters", payloads == [m.value for m in bad], f"those of WriteToQueue hold {payloads}")
        self._same("fields", self._run()[0], [*before, *(message.with_id() for message in made * 2)])

    def commits(self, damage: Callable[[], object] | None) -> None:
        queue, before = open_queue(self._read_uri), self._run()[0]
        if damage:
            damage()
        splits = queue.splits()
        messages, dead = self._run(commit=True)
        self._law("dead letters", bool(dead) == bool(damage), f"unreadable parts gave {len(dead)}")
        self._same("dead letters", messages, before)
        if queue.keeps_positions:
            queue.commit([queues.Position(split.partition, split.start) for split in splits if queue.counts_messages])
            self._write(self._samples[:1])
            self._same("commits", self._read(), self._samples[:1])

    def _write(self, messages: Sequence[Message]) -> list[Message]:
        with closing(open_queue(self._uri).writer()) as writer:
            writer.write(messages)
            return [message for message, _ in writer.flush()]

    def _read(self, splits: Sequence[Split] | None = None) -> list[Message]:
        queue = open_queue(self._read_uri)
        with queue.reading() as read:
            batches = [batch for split in (queue.splits() if splits is None else splits) for batch in read(split)]
        self._law("fields", all(isinstance(batch, list) for batch in batches), f"{batches} has an unreadable part")
        return [message for batch in batches if isinstance(batch, list) for message in batch]

    def _run(self, commit: bool = False) -> tuple[list[Message], list[DeadLetter]]:
        seen, dead = Collect(), Collect()
        with beam.Pipeline("FnApiRunner") as p:
            with beam.transforms.error_handling.ErrorHandler(DeadLetters() | "Dead" >> dead) as handler:
                messages = p | "Read" >> queues.ReadFromQueue(self._read_uri).with_error_handler(handler)
                written = messages | Filter(bool).with_error_handler(handler) | "See" >> seen  # No message is False.
            if commit:
                _ = (written, handler.output()) | "Commit" >> queues.CommitOffsets(messages)
        return seen.elements, dead.elements

    def _same(self, law: str, read: list[Message], expected: list[Message]) -> None:
        found, wanted = Counter(map(self._kept, read)), Counter(map(self._kept, expected))
        self._law(law, found == wanted, f"{list(wanted - found)[:1]} was not read, but {list(found - wanted)[:1]} was")

    def _kept(self, message: Message) -> tuple[object, ...]:
        same = message._replace(key=message.key or None, attributes=tuple(sorted(message.attributes)))
        return (message.value, *(getattr(same, name) for name in self._keeps))

    def _law(self, law: str, holds: bool, problem: str) -> None:
        if not holds:
            raise AssertionError(f"{self._uri} breaks the law of {law}: {problem}")
