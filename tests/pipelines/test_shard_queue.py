"""The shard_queue pipeline: each message goes to the queue of its key's shard, unchanged."""

from pathlib import Path

import pytest

from beam_patterns.pipelines.shard_queue import run
from beam_patterns.transforms import Sharder
from beam_patterns.transforms.queues import Message

from .between import CLOSES, Place, refused

USERS = ["ann", "bob", "cyd", "dan", "zoé", 7, 2**63 + 1]
ITEMS = [Message.of({"user_id": user}, key=b"\xff%d" % n, timestamp=float(n)) for n, user in enumerate(USERS)]
#: Payloads without a key, and why.
BAD = {
    b'{"user_id": ': "not valid JSON: unexpected end of data: line 1 column 13 (char 12)",
    b'{"user": "ann"}': 'Key not found in map: "user_id"',
    b'{"user_id": 7.5}': "'item.user_id' is not a key: its type is DOUBLE, not text or a whole number",
    b'{"user_id": null}': "'item.user_id' is not a key: its type is NULL, not text or a whole number",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def arguments(place: Place, *more: str) -> list[str]:
    names = {"input": place.uri("users", "g"), "shards": "3", "output": place.uri("users-")}
    return [*(f"--{name}={value}" for name, value in {**names, "dead_letters": place.uri("dead")}.items()), *more]


def shards(place: Place) -> list[list[Message]]:
    return [place.messages(f"users-{number}") for number in range(3)]


@pytest.mark.integration
def test_a_key_in_the_payload_decides_the_shard_as_kafka_does_and_a_second_run_finds_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [Message(payload, b"k", (("lang", b"en"),), 9.0) for payload in BAD]
    place.put("users", *ITEMS, *bad)
    assert run(arguments(place, "--key=item.user_id")) == 0
    shown = capsys.readouterr().out
    assert CLOSES in shown
    assert [line.split()[:4] for line in shown.splitlines() if line.startswith("Shard ")] == [["Shard", "11", "7", "4"]]
    sharder = Sharder(3)
    wanted = [[item for item, user in zip(ITEMS, USERS, strict=True) if sharder.place(user) == n] for n in range(3)]
    assert all(wanted)
    assert shards(place) == wanted
    assert [(d.payload, d.key, d.attributes, d.event_time, d.step, d.error_message) for d in place.dead()] == [
        (payload, b"k", (("lang", b"en"),), 9.0, "Shard", why) for payload, why in BAD.items()
    ]
    assert run(arguments(place, "--key=item.user_id")) == 0
    assert (shards(place), len(place.dead())) == (wanted, len(BAD))


def test_without_the_option_the_messages_own_key_decides_and_payloads_are_not_decoded(place: Place) -> None:
    items = [Message(b"\xff no JSON %d" % n, b"%d" % n, (("lang", b"\xe9"),), float(n)) for n in range(20)]
    place.put("users", *items)
    assert run(arguments(place, "--quiet")) == 0
    sharder = Sharder(3)
    assert shards(place) == [[item for item in items if sharder.place(item.key) == n] for n in range(3)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "item.a ++"}, "--key: syntax error in 'item.a ++' at character 9: "),
        (
            {"key": "item.a > 1"},
            "--key: 'item.a > 1' is not a key: its type is BOOL, not text or a whole number; write",
        ),
        ({"shards": "0"}, "--shards: 0 is less than 1; use 1 or more"),
        ({"shards": "many"}, "--shards: 'many' is not a whole number; write, for example, --shards 4"),
        ({"shards": ""}, "missing --shards; write, for example, --shards 4"),
        (
            {"input": "sqlite:///q.db?topic=users-1&group=g"},
            "--output with 1 would be written to sqlite:///q.db?topic=users-1, from which --input is read",
        ),
        ({"output": "out?-"}, "can't write to out?-0.jsonl: only one * is allowed, in the file's name"),
    ],
)
def test_wrong_options_start_nothing(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "input": "sqlite:///q.db?topic=users&group=g",
        "shards": "2",
        "output": "sqlite:///q.db?topic=users-",
        "dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert refused(run, given, capsys).startswith(sentence)
