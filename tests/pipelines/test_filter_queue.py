"""The filter_queue pipeline: messages that meet a condition pass unchanged."""

from pathlib import Path

import pytest

from beam_patterns.pipelines.filter_queue import run
from beam_patterns.transforms.queues import Message

from .between import CLOSES, Place, refused

KEPT = [
    Message(
        b'{"n": 1,\t"channel":"email", "email_opt_in": true}', b"\xff\x00", (("lang", b"\xe9"), ("lang", b"")), 5.0
    ),
    Message('{"channel": "email", "email_opt_in": true, "name": "Zo\\u00e9 é"}'.encode(), None, (), 6.0),
]
DROPPED = [
    Message(b'{"channel": "sms", "email_opt_in": true}', timestamp=7.0),
    Message(b'{"email_opt_in": false}', timestamp=7.0),
]
#: Payloads that the condition has no value for, and why.
BAD = {
    b'{"channel": ': "not valid JSON: unexpected end of data: line 1 column 13 (char 12)",
    b"\xff\xfe": "not valid JSON: str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0)",
    b"": "not valid JSON: Input is a zero-length, empty document: line 1 column 1 (char 0)",
    None: "not valid JSON: the message has no payload (a tombstone), so it holds no JSON",
    b'{"email_opt_in": true}': 'Key not found in map: "channel"',
    b'{"email_opt_in": "yes", "channel": "email"}': "No matching overloads found: _&&_",
    b'{"channel": "email\\u0000", "email_opt_in": true}': (
        "item contains the character U+0000, at which CEL would cut its text off"
    ),
    b"[1]": "Applying SELECT to non-message type",
}
WHERE = 'item.email_opt_in && item.channel == "email"'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def arguments(place: Place, **changes: str) -> dict[str, str]:
    names = {"input": place.uri("users", "g"), "where": WHERE, "output": place.uri("kept")}
    return {**names, "dead_letters": place.uri("dead"), **changes}


def ran(place: Place, **changes: str) -> int:
    return run([f"--{name}={value}" for name, value in arguments(place, **changes).items()])


@pytest.mark.integration
def test_messages_that_meet_the_condition_pass_byte_for_byte_and_a_second_run_finds_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [Message(payload, b"k", (("lang", b"en"),), 8.0) for payload in BAD]
    place.put("users", KEPT[0], *DROPPED, *bad, KEPT[1])
    assert ran(place) == 0
    shown = capsys.readouterr().out
    assert CLOSES in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("Filter ")] == [
        ["Filter", "12", "2", "2", "8"]
    ]
    assert place.messages("kept") == KEPT
    letters = place.dead()
    assert [(d.payload, d.key, d.attributes, d.event_time, d.step) for d in letters] == [
        (*message[:4], "Filter") for message in bad
    ]
    assert [letter.error_message for letter in letters] == list(BAD.values())
    assert ran(place) == 0
    assert (place.messages("kept"), len(place.dead())) == (KEPT, len(bad))


def test_a_value_that_is_neither_true_nor_false_is_a_dead_letter(place: Place) -> None:
    place.put("users", Message(b'{"ok": "no"}'), Message(b'{"ok": true}', timestamp=1.0), Message(b'{"ok": 0}'))
    assert ran(place, where="item.ok") == 0
    assert place.messages("kept") == [Message(b'{"ok": true}', timestamp=1.0)]
    assert [(letter.payload, letter.error_message) for letter in place.dead()] == [
        (b'{"ok": "no"}', "'item.ok' is not a condition: its type is STRING, not true or false"),
        (b'{"ok": 0}', "'item.ok' is not a condition: its type is INT, not true or false"),
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"where": 'item.channel = "email"'},
            "--where: syntax error in 'item.channel = \"email\"' at character 14: token recognition "
            "error at: '= '; write, for example, --where 'item.email_opt_in && item.channel == \"email\"'",
        ),
        ({"where": "itm.ok"}, "--where: error in 'itm.ok' at character 4: undeclared reference to 'itm.ok'"),
        (
            {"where": 'item.ok &&\n"a" + 1 == "a1"'},
            '--where: error in \'item.ok &&\\n"a" + 1 == "a1"\' at line 2, character 5: found no matching '
            "overload for '_+_' applied to '(string, int)'",
        ),
        ({"where": "size(item.ok)"}, "--where: 'size(item.ok)' is not a condition: its type is INT, not true or false"),
        ({"where": ""}, "missing --where; write, for example, --where 'item.email_opt_in && "),
        ({"were": "item.ok"}, "unknown parameter --were; did you mean --where?"),
        ({"input": "sqlite:///q.db?topic=users"}, "--input: 'sqlite:///q.db?topic=users' names no group, under which"),
        ({"input": "/videos/*.mp4"}, "--input: '/videos/*.mp4' names files as items, not messages"),
        ({"output": "amqp://h/q"}, "--output: the queue amqp://h/q starts with amqp://, which is none of"),
        (
            {"output": "sqlite:///q.db?topic=users"},
            "--output would be written to sqlite:///q.db?topic=users, from which",
        ),
        (
            {"dead_letters": "sqlite:///q.db?topic=users"},
            "--dead_letters would be written to sqlite:///q.db?topic=users",
        ),
        (
            {"dead_letters": "sqlite:///q.db?topic=kept"},
            "--output and --dead_letters are both sqlite:///q.db?topic=kept",
        ),
        ({"output": "http://h/items"}, "the queue http://h/items can only be read; write to Kafka, SQLite or"),
        ({"output": "out?.jsonl"}, "can't write to out?.jsonl: only one * is allowed, in the file's name"),
        ({"quiet": "perhaps"}, "--quiet: 'perhaps' is neither true nor false"),
        ({"streaming": "true"}, "--input: sqlite:///q.db?topic=users&group=g can't be followed; use kafka:// or"),
        (
            {"streaming": "true", "input": "kafka://h:1/users?group=g", "output": "out.jsonl"},
            "--output: out.jsonl would be complete when the stream ends; use kafka:// or pubsub://",
        ),
    ],
)
def test_wrong_options_start_nothing(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "input": "sqlite:///q.db?topic=users&group=g",
        "where": "item.ok",
        "output": "sqlite:///q.db?topic=kept",
        "dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert refused(run, given, capsys).startswith(sentence)
