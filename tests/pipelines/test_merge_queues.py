"""The merge_queues pipeline: all messages of all inputs, unchanged, and each input is committed."""

from pathlib import Path

import pytest

from beam_patterns.pipelines.merge_queues import run
from beam_patterns.transforms.queues import Message

from .between import CLOSES, Place, refused

EMAILS = [Message(b"\xff\x00 no JSON", b"\x80", (("lang", b"\xe9"),), 5.0), Message(None, b"tombstone", (), 6.0)]
TEXTS = [Message(b"%d" % number, None, (), 7.0 + number) for number in range(3)]


@pytest.mark.integration
def test_the_output_has_all_messages_byte_for_byte_and_the_next_run_continues_in_each_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    place.put("emails", *EMAILS)
    place.put("texts", *TEXTS)
    inputs = f"{place.uri('emails', 'g')} {place.uri('texts', 'g')}"
    names = {"inputs": inputs, "output": place.uri("notices"), "dead_letters": place.uri("dead")}
    arguments = [f"--{name}={value}" for name, value in names.items()]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert CLOSES in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("Merge ")] == [["Merge", "5", "5"]]
    assert sorted(place.messages("notices"), key=lambda m: m.timestamp or 0) == [*EMAILS, *TEXTS]
    new = Message(b"new", timestamp=1.0)
    place.put("texts", new)
    assert run(arguments) == 0
    assert place.messages("notices")[5:] == [new]
    assert run(arguments) == 0
    assert len(place.messages("notices")) == 6


@pytest.mark.integration
def test_inputs_may_be_of_different_kinds_and_a_message_that_the_output_cannot_hold_is_a_dead_letter(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    place.put("emails", *EMAILS)
    (tmp_path / "texts.jsonl").write_bytes(b"1\n2\n")
    inputs = f"{place.uri('emails', 'g')} {tmp_path}/texts.jsonl"
    names = {"inputs": inputs, "output": f"{tmp_path}/all.jsonl", "dead_letters": place.uri("dead")}
    assert run([*(f"--{name}={value}" for name, value in names.items()), "--quiet"]) == 0
    assert sorted((tmp_path / "all.jsonl").read_bytes().splitlines()) == [b"1", b"2", b"\xff\x00 no JSON"]
    assert [(letter.payload, letter.key, letter.step) for letter in place.dead()] == [(None, b"tombstone", "Write")]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": "sqlite:///q.db?topic=a&group=g"}, "--inputs: 'sqlite:///q.db?topic=a&group=g' names 1 queues"),
        (
            {"inputs": "sqlite:///q.db?topic=a&group=g sqlite:///q.db?topic=b"},
            "--inputs: 'sqlite:///q.db?topic=b' names",
        ),
        (
            {"inputs": "kafka://h:1/a,b?group=g kafka://h:1/b?group=h"},
            "--inputs and --inputs are both kafka://h:1/b?group=h; use a queue for each",
        ),
        (
            {"inputs": "kafka://h:1/a?group=g kafka://h:1/b,c?group=g", "output": "kafka://h:1/c"},
            "--output would be written to kafka://h:1/c, from which --inputs is read; use another queue",
        ),
        ({"input": "memory://a"}, "unknown parameter --input; did you mean --inputs?"),
        ({"output": ""}, "missing --output; write, for example, --output 'sqlite:///data/queues.db?topic=notices'"),
    ],
)
def test_wrong_options_start_nothing(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "inputs": "sqlite:///q.db?topic=a&group=g sqlite:///q.db?topic=b&group=g",
        "output": "sqlite:///q.db?topic=all",
        "dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert refused(run, given, capsys).startswith(sentence)
