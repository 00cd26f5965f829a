"""Stable hashes of keys: the same in every process, on every machine, in every version of Python."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .message import Message

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def key_bytes(key: Any) -> bytes:
    """A key as Kafka clients serialize it: bytes as they are, text as UTF-8, whole numbers as their decimal text.

    >>> key_bytes("zoé"), key_bytes(42)
    (b'zo\\xc3\\xa9', b'42')
    """
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    if isinstance(key, int):  # bool too: b'True' is as stable as any.
        return str(key).encode()
    if isinstance(key, Message):
        return key.key if key.key is not None else key.value or b""
    raise TypeError(
        f"a shard key is bytes, text or a whole number, not {key!r} ({type(key).__name__}); convert it to text"
    )


def murmur2(data: bytes) -> int:
    """Murmur2 with Kafka's seed, 32 bits unsigned.

    >>> murmur2(b"21") - 2**32
    -973932308

    Source: org.apache.kafka.common.utils.Utils.murmur2; the example is its published test vector.
    """
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(data[i : i + 4], "little") * _M) & _MASK
        k ^= k >> 24
        h = ((h * _M) & _MASK) ^ ((k * _M) & _MASK)
    if length & 3:
        h = ((h ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def kafka_partitions(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key according to Kafka's default partitioner; many keys at once, by columns.

    >>> kafka_partitions([b"ann", b"bob"], 4) == [(murmur2(key) & 0x7FFFFFFF) % 4 for key in (b"ann", b"bob")]
    True
    """
    if len(keys) < 32:  # For fewer keys, arrays cost more than they save.
        return [(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys]
    hashes = np.empty(len(keys), np.uint32)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    for length in np.unique(lengths):
        at = np.flatnonzero(lengths == length).tolist()
        hashes[at] = _murmur2_columns(b"".join([keys[i] for i in at]), len(at), int(length))
    return ((hashes & 0x7FFFFFFF) % partitions).tolist()


def _murmur2_columns(data: bytes, count: int, length: int) -> Any:
    """Murmur2 of `count` keys of the same length, concatenated."""
    m = np.uint32(_M)
    rows = np.frombuffer(data, np.uint8).reshape(count, length)
    h = np.full(count, 0x9747B28C ^ length, np.uint32)
    whole = length & ~3
    words = np.ascontiguousarray(rows[:, :whole]).view("<u4")
    for i in range(whole // 4):
        k = words[:, i] * m
        k ^= k >> np.uint32(24)
        h = (h * m) ^ (k * m)
    for i in range(whole, length):
        h ^= rows[:, i].astype(np.uint32) << np.uint32(8 * (i - whole))
    if length & 3:
        h *= m
    h = (h ^ (h >> np.uint32(13))) * m
    return h ^ (h >> np.uint32(15))


def rendezvous(keys: Sequence[bytes], weights: Sequence[float], excluded: frozenset[int] = frozenset()) -> list[int]:
    """The shard with the highest score for each key: when a shard is added or removed, only its keys move.

    A key's number is BLAKE2b with 64 bits; mixed with each shard's by splitmix64 it gives u in (0, 1), and a shard of
    weight w scores -w / ln(u), so that shards get keys in proportion to their weights.

    >>> rendezvous([b"ann", b"bob", b"cy"], [1, 1, 1])
    [1, 0, 1]

    Source: Thaler and Ravishankar (1998); weights after Schindelhauer and Schomaker (2005); Steele et al., splitmix64.
    """
    digests = b"".join([hashlib.blake2b(key, digest_size=8).digest() for key in keys])
    numbers = np.frombuffer(digests, "<u8")
    scores = np.full((len(weights), len(keys)), -np.inf)
    for shard, weight in enumerate(weights):
        if shard not in excluded:
            seed = np.uint64((0x9E3779B97F4A7C15 * (shard + 1)) % 2**64)
            u = (_splitmix64(numbers ^ _splitmix64(seed)) >> np.uint64(11)) + 0.5
            scores[shard] = -weight / np.log(u / 2.0**53)
    return scores.argmax(axis=0).tolist()


class Partitioner(NamedTuple):
    """Places keys on shards: by Kafka's hash, or by rendezvous hashing with weights. Excluded shards get no keys."""

    shards: int
    weights: tuple[float, ...] | None = None
    excluded: frozenset[int] = frozenset()

    def shards_of(self, keys: Sequence[bytes]) -> list[int]:
        """The shard of each key."""
        if self.weights is not None:
            return rendezvous(keys, self.weights, self.excluded)
        placed = kafka_partitions(keys, self.shards)
        moved = [i for i, shard in enumerate(placed) if shard in self.excluded] if self.excluded else []
        if moved:
            targets = rendezvous([keys[i] for i in moved], (1.0,) * self.shards, self.excluded)
            for i, shard in zip(moved, targets, strict=True):
                placed[i] = shard
        return placed


def _splitmix64(z: Any) -> Any:
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
