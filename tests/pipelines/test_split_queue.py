"""The split_queue pipeline: each message goes to the queue of its case, unchanged."""

from pathlib import Path

import pytest

from beam_patterns.pipelines.split_queue import run
from beam_patterns.transforms.queues import Message

from .between import CLOSES, Place, refused

EMAIL = Message(b'{"tell":\t["email"]}', b"\xff", (("lang", b"\xe9"), ("lang", b"")), 5.0)
BOTH = Message(b'{"tell": ["sms", "email"], "note": "a; b"}', None, (), 6.0)
SMS = Message(b'{"tell": ["sms"]}', b"k", (), 7.0)
FAX = Message(b'{"tell": ["fax"]}', b"k", (), 8.0)
CASES = "email: 'email' in item.tell; sms: \"sms\" in item.tell && item.tell != [';', r\"\\;\"];"
#: Payloads that the conditions have no value for, and why.
BAD = {
    b'{"tell": ': "not valid JSON: unexpected end of data: line 1 column 10 (char 9)",
    b'{"Tell": []}': 'Key not found in map: "tell"',
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    bad = [Message(payload, b"k", (("lang", b"en"),), 9.0) for payload in BAD]
    place.put("orders", EMAIL, BOTH, bad[0], SMS, FAX, bad[1])
    return place


def arguments(place: Place) -> list[str]:
    names = {"input": place.uri("orders", "g"), "cases": CASES, "output": place.uri("tell-")}
    return [f"--{name}={value}" for name, value in {**names, "dead_letters": place.uri("dead")}.items()]


def split(place: Place) -> list[list[Message]]:
    return [place.messages(f"tell-{name}") for name in ("email", "sms", "otherwise")]


@pytest.mark.integration
def test_a_message_goes_to_the_first_matching_case_and_a_second_run_finds_nothing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(place)) == 0
    shown = capsys.readouterr().out
    assert CLOSES in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("Split ")] == [
        ["Split", "6", "4", "2", "email", "2,", "sms", "1,", "otherwise", "1"]
    ]
    assert split(place) == [[EMAIL, BOTH], [SMS], [FAX]]
    assert [(d.payload, d.key, d.attributes, d.event_time, d.step, d.error_message) for d in place.dead()] == [
        (payload, b"k", (("lang", b"en"),), 9.0, "Split", why) for payload, why in BAD.items()
    ]
    assert run(arguments(place)) == 0
    assert (split(place), len(place.dead())) == ([[EMAIL, BOTH], [SMS], [FAX]], 2)


@pytest.mark.integration
def test_with_every_match_a_message_goes_to_all_matching_cases(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments(place), "--every_match"]) == 0
    assert CLOSES in capsys.readouterr().out
    assert split(place) == [[EMAIL, BOTH], [BOTH, SMS], [FAX]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"cases": "email: item.a == 1; sms: item.b =="},
            "--cases: case 'sms': syntax error in 'item.b ==' at character 10: mismatched input "
            "'<EOF>'; write, for example, --cases 'email: item.tell == \"email\"; sms: item.tell == \"sms\"'",
        ),
        ({"cases": "email: 'a'"}, "--cases: case 'email': \"'a'\" is not a condition: its type is STRING, not true or"),
        ({"cases": "item.a == 1"}, "--cases: 'item.a == 1' is not a case; a case is a name, a colon and a condition"),
        ({"cases": " ; "}, "--cases: ' ; ' has no case; a case is a name, a colon and a condition; write, for"),
        ({"cases": "a: true; a: false"}, "--cases: there are two cases named 'a'; give each case its own name"),
        ({"cases": "otherwise: true"}, "--cases: Splitter: 'otherwise' is the branch of elements that match no case"),
        ({"cases": "in: true"}, "--cases: Splitter: 'in' can't be the name of a branch; use "),
        (
            {"input": "sqlite:///q.db?topic=tell-email&group=g"},
            "--output with 'email' would be written to sqlite:///q.db?topic=tell-email, from which --input is read",
        ),
        (
            {"dead_letters": "sqlite:///q.db?topic=tell-otherwise"},
            "--output with 'otherwise' and --dead_letters are both sqlite:///q.db?topic=tell-otherwise; use a queue",
        ),
        ({"output": "amqp://h/q-"}, "--output: the queue amqp://h/q- starts with amqp://, which is none of"),
        ({"every_match": "all"}, "--every_match: 'all' is neither true nor false"),
        ({"cases": ""}, 'missing --cases; write, for example, --cases \'email: item.tell == "email"; sms: '),
    ],
)
def test_wrong_options_start_nothing(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "input": "sqlite:///q.db?topic=orders&group=g",
        "cases": 'email: item.tell == "email"',
        "output": "sqlite:///q.db?topic=tell-",
        "dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert refused(run, given, capsys).startswith(sentence)
