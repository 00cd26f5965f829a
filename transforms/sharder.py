"""The sharder pattern."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PCollection

from .base.hashing import Partitioner, key_bytes, murmur2
from .base.pattern import Stream, T, ViewedPattern
from .base.routing import Router, route


class Sharder(ViewedPattern[PCollection[T], tuple[Stream[T], ...]]):
    """Divides one stream into shards by a stable function of a key: the failure of a shard affects its users only.

    ```
                             +--> shard 0
    users --> Sharder(3) ----+--> shard 1
                             +--> shard 2
    ```

    >>> import apache_beam as beam
    >>> from beam_patterns.transforms import Sharder
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     shards = p | beam.Create(["ann", "bob", "cyd"]) | Sharder(2)
    ...     for i, shard in enumerate(shards):
    ...         _ = shard | f"Show {i}" >> beam.Map(lambda user, i=i: print(i, user))
    0 ann
    0 bob
    1 cyd
    >>> print(Sharder(4).explain("ann"))
    key b'ann': murmur2 0xf8917eb2, without its sign bit 2022801074, modulo 4 is shard 2

    The hash is murmur2 of the key's bytes as in Kafka's default partitioner: shard i gets exactly the keys of partition
    i of a topic with as many partitions. It is never Python's hash(), which differs from process to process.

    Args:
        shards: number of shards.
        key: a function of one element or its view, or a column's name; its result is bytes, text or a whole number.
            By default a message's key (its value if it has no key), or the element itself.

    In: PCollection[T].
    Out: a tuple of PCollection[T], one per shard, empty ones included.
    Streaming: element by element; windows, timestamps and watermarks pass unchanged.
    Failure: an element whose key can't be made goes to the error handler as a DeadLetter, or fails the run.
    Over beam.Partition: a hash that is the same everywhere, `.with_rendezvous()`, `.without()`, batches, reports.
    Source: Burns, Designing Distributed Systems, chapter 11; Kafka's BuiltInPartitioner.
    """

    def __init__(self, shards: int, key: Callable[[T], Any] | str | None = None) -> None:
        super().__init__()
        if not isinstance(shards, int) or shards < 1:
            raise ValueError(f"Sharder(shards) must be a whole number from 1, not {shards!r}")
        if not (key is None or callable(key) or isinstance(key, str)):
            raise TypeError(f"Sharder(key=...) must be a function of one element or a column's name, not {key!r}")
        self._partitioner, self._key = Partitioner(shards), key

    def with_rendezvous(self, weights: Sequence[float] | None = None) -> Self:
        """Places keys by rendezvous hashing: from n to n + 1 shards, only about 1 / (n + 1) of the keys move.

        With weights, shard i gets keys in proportion to weights[i].
        """
        shards = self._partitioner.shards
        weights = (1.0,) * shards if weights is None else tuple(weights)
        if len(weights) != shards or not all(weight > 0 and math.isfinite(weight) for weight in weights):
            raise ValueError(f"with_rendezvous needs {shards} weights above 0, one per shard, not {weights!r}")
        return self._with(_partitioner=self._partitioner._replace(weights=weights))

    def without(self, *shards: int) -> Self:
        """Sends the keys of these shards to the others and moves no other key. The shards' outputs stay, empty."""
        number, excluded = self._partitioner.shards, self._partitioner.excluded.union(shards)
        if not all(isinstance(shard, int) and 0 <= shard < number for shard in shards):
            raise ValueError(f"without(...) needs numbers of shards, 0 to {number - 1}, not {shards!r}")
        if len(excluded) == number:
            raise ValueError(f"without(...) excludes all {number} shards; leave at least one to send keys to")
        return self._with(_partitioner=self._partitioner._replace(excluded=excluded))

    def expand(self, elements: PCollection) -> tuple[Stream, ...]:
        names = [f"shard_{i}" for i in range(self._partitioner.shards)]
        return tuple(route(self, elements, _ByHash(self._partitioner, self._key), names, verb="Shard"))

    def place(self, key: Any) -> int:
        """The shard of a key."""
        return self._partitioner.shards_of([key_bytes(key)])[0]

    def explain(self, key: Any) -> str:
        """A sentence about why a key is on its shard."""
        data, shard, (shards, weights, excluded) = key_bytes(key), self.place(key), self._partitioner
        missing = f", without {', '.join(map(str, sorted(excluded)))}" if excluded else ""
        if weights is not None:
            return f"key {data!r}: shard {shard} scores highest by rendezvous with weights {weights}{missing}"
        number = murmur2(data)
        home = (number & 0x7FFFFFFF) % shards
        return (
            f"key {data!r}: murmur2 {number:#010x}, without its sign bit {number & 0x7FFFFFFF}, "
            f"modulo {shards} is shard {home}" + (f"{missing} by rendezvous shard {shard}" if home in excluded else "")
        )

    def movement(self, other: "Sharder", keys: Iterable[Any] | None = None) -> float:
        """The share of keys (by default 10,000 generated ones) that `other` places on another shard.

        >>> Sharder(4).movement(Sharder(5)) > 0.75
        True
        >>> 0.18 < Sharder(4).with_rendezvous().movement(Sharder(5).with_rendezvous()) < 0.22
        True
        """
        data = [key_bytes(key) for key in (range(10_000) if keys is None else keys)]
        here, there = self._partitioner.shards_of(data), other._partitioner.shards_of(data)
        return sum(a != b for a, b in zip(here, there, strict=True)) / max(len(data), 1)

    def skew(self, keys: Iterable[Any]) -> str:
        """A report of how evenly keys are spread: one line per shard, and the most frequent key.

        >>> print(Sharder(2).skew(["ann"] * 3 + ["cyd"]))
        shard 0: 3 (75.0%), 1.50 of an even share
        shard 1: 1 (25.0%), 0.50 of an even share
        most frequent key b'ann': 3 (75.0%)
        """
        data = [key_bytes(key) for key in keys]
        if not data:
            return "no keys"
        sizes, total = Counter(self._partitioner.shards_of(data)), len(data)
        used = self._partitioner.shards - len(self._partitioner.excluded)
        lines = [
            f"shard {i}: {sizes[i]:,} ({sizes[i] / total:.1%}), {sizes[i] * used / total:.2f} of an even share"
            for i in range(self._partitioner.shards)
        ]
        frequent, times = Counter(data).most_common(1)[0]
        return "\n".join([*lines, f"most frequent key {frequent!r}: {times:,} ({times / total:.1%})"])


class _ByHash(Router):
    def __init__(self, partitioner: Partitioner, key: Callable[[Any], Any] | str | None) -> None:
        self._partitioner, self._key = partitioner, key
        self._places = [(i,) for i in range(partitioner.shards)]
        self.user_code = f"the key {getattr(self._key, '__name__', self._key or 'of the element')}"

    def choose(self, view: Any) -> bytes:
        if callable(self._key):
            view = self._key(view)
        elif self._key is not None:
            view = view[self._key] if isinstance(view, dict) else getattr(view, self._key)
        return key_bytes(view)

    def resolve(self, keys: list[bytes]) -> list[tuple[int]]:
        places = self._places
        return [places[i] for i in self._partitioner.shards_of(keys)]

    def split_table(self, table: pa.Table) -> list[pa.Table] | None:
        if not isinstance(self._key, str):
            return None
        shard = np.array(self._partitioner.shards_of([key_bytes(key) for key in table[self._key].to_pylist()]))
        return [table.filter(pa.array(shard == i)) for i in range(len(self._places))]
