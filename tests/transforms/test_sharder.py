"""Sharder: stable shards. test_sharder_kafka.py compares them with the partitions of a real broker."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from beam_patterns.testing import run_pattern
from beam_patterns.transforms import Sharder
from beam_patterns.transforms.base.hashing import kafka_partitions, murmur2, rendezvous
from beam_patterns.transforms.queues import Message
from tests.running import Lists

KEYS = [f"user-{i}" for i in range(10_000)]


@given(st.binary())
def test_murmur2_agrees_with_kafka_s_own_client(key: bytes) -> None:
    assert murmur2(key) & 0x7FFFFFFF == kafka_murmur2(key) & 0x7FFFFFFF


@given(st.lists(st.binary(max_size=40), min_size=32, max_size=100), st.integers(1, 100))
def test_many_keys_at_once_get_the_same_partitions_as_one_by_one(keys: list[bytes], partitions: int) -> None:
    assert kafka_partitions(keys, partitions) == [(murmur2(key) & 0x7FFFFFFF) % partitions for key in keys]


@given(st.lists(st.binary(), max_size=50), st.integers(2, 9), st.data())
def test_without_moves_the_keys_of_the_excluded_shard_and_no_other(keys: list[bytes], shards: int, data: Any) -> None:
    excluded = data.draw(st.integers(0, shards - 1))
    for sharder in (Sharder(shards), Sharder(shards).with_rendezvous()):
        for key in keys:
            before, after = sharder.place(key), sharder.without(excluded).place(key)
            assert (after != excluded) if before == excluded else (after == before)


def test_the_keys_of_an_excluded_shard_are_spread_over_all_others() -> None:
    moved = Counter(Sharder(4).without(2).place(key) for key in KEYS if Sharder(4).place(key) == 2)
    assert sorted(moved) == [0, 1, 3]
    assert min(moved.values()) > 0.25 * sum(moved.values())


@pytest.mark.integration
def test_rendezvous_moves_a_fifth_of_the_keys_from_four_to_five_shards_and_all_to_the_new_one() -> None:
    four, five = Sharder(4).with_rendezvous(), Sharder(5).with_rendezvous()
    moved = [(four.place(key), five.place(key)) for key in KEYS if four.place(key) != five.place(key)]
    assert {there for _, there in moved} == {4}
    assert 0.18 < len(moved) / len(KEYS) < 0.22
    assert four.movement(five, KEYS) == len(moved) / len(KEYS)


def test_weights_decide_the_shares() -> None:
    places = Counter(rendezvous([key.encode() for key in KEYS], [1, 1, 2]))
    assert [round(places[i] / len(KEYS), 1) for i in range(3)] == [0.2, 0.2, 0.5] or 0.47 < places[2] / len(KEYS) < 0.53


def test_text_bytes_and_numbers_have_the_same_shard_in_every_process() -> None:
    assert [Sharder(8).place(key) for key in ("ann", b"ann", 42, "42", "zoé")] == [2, 2, 4, 4, 4]


def test_a_message_goes_by_its_key_and_without_one_by_its_value() -> None:
    messages = [Message(b"v", key=b"ann"), Message(b"ann")]
    assert sorted(run_pattern(Sharder(8), Lists(messages, Message))[2]) == sorted(messages)


def test_an_element_without_a_usable_key_becomes_a_dead_letter() -> None:
    people = [{"user": "ann"}, {"user": None}, {"name": "bob"}]
    run = run_pattern(Sharder(2, key="user"), Lists(people, dict))
    assert run[0] + run[1] == [{"user": "ann"}]
    assert sorted(letter.error_type for letter in run.dead) == ["KeyError", "TypeError"]
    assert any("a shard key is bytes, text or a whole number, not None" in letter.error_message for letter in run.dead)


def test_explain_names_hash_and_shard() -> None:
    assert Sharder(4).without(2).explain("ann") == (
        "key b'ann': murmur2 0xf8917eb2, without its sign bit 2022801074, modulo 4 is shard 2, "
        f"without 2 by rendezvous shard {Sharder(4).without(2).place('ann')}"
    )
    assert Sharder(2).with_rendezvous([1, 3]).explain("ann") == (
        f"key b'ann': shard {Sharder(2).with_rendezvous([1, 3]).place('ann')} scores highest by rendezvous "
        "with weights (1, 3)"
    )


def test_skew_without_keys_reports_that() -> None:
    assert Sharder(2).skew([]) == "no keys"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Sharder(0), "a whole number from 1, not 0"),
        (lambda: Sharder("4"), "a whole number from 1, not '4'"),
        (lambda: Sharder(2).with_rendezvous([1]), r"needs 2 weights above 0, one per shard, not \(1,\)"),
        (lambda: Sharder(2).with_rendezvous([1, 0]), r"weights above 0"),
        (lambda: Sharder(2).without(2), r"without\(...\) needs numbers of shards, 0 to 1, not \(2,\)"),
        (lambda: Sharder(2).without(0).without(1), "excludes all 2 shards; leave at least one"),
    ],
)
def test_wrong_use_raises_value_error_at_construction(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_key_that_is_neither_a_function_nor_a_column_raises_type_error() -> None:
    with pytest.raises(TypeError, match=r"must be a function of one element or a column's name, not 3"):
        Sharder(2, key=3)  # type: ignore[arg-type]
