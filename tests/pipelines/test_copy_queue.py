"""The copy_queue pipeline: every output has every message, unchanged."""

import json
from pathlib import Path

import pytest

from beam_patterns.pipelines.copy_queue import run
from beam_patterns.transforms.queues import Message, open_queue

from .between import CLOSES, Place, refused

MESSAGES = [
    Message(b"\xff\x00 no JSON", b"\x80", (("lang", b"\xe9"), ("lang", b"")), 5.0),
    Message(None, b"tombstone", (), 6.0),
    Message(b'{"n":\t1}', None, (), 7.0),
]


@pytest.mark.integration
def test_each_output_has_all_messages_byte_for_byte_and_a_second_run_finds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    place.put("videos", *MESSAGES)
    names = {"input": place.uri("videos", "g"), "dead_letters": place.uri("dead")}
    arguments = [f"--{name}={value}" for name, value in names.items()]
    outputs = f"{place.uri('uhd')}   {place.uri('mobile')}\nfile://{tmp_path}/archive.jsonl"
    assert run([*arguments, f"--outputs={outputs}"]) == 0
    shown = capsys.readouterr().out
    assert CLOSES in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("Copy ")] == [
        ["Copy", "3", "3", "copy1", "3,", "copy2", "3,", "copy3", "3"]
    ]
    assert place.messages("uhd") == place.messages("mobile") == MESSAGES
    assert (tmp_path / "archive.jsonl").read_bytes() == b'\xff\x00 no JSON\n{"n":\t1}\n'
    (letter,) = place.dead()  # A file of lines can't hold a tombstone.
    assert (letter.payload, letter.key, letter.step) == (None, b"tombstone", "Write copy3")
    assert run([*arguments, f"--outputs={outputs}"]) == 0
    assert (place.messages("uhd"), len(place.dead())) == (MESSAGES, 1)


def test_a_single_output_has_all_messages_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path)
    place.put("videos", *MESSAGES)
    names = {"input": place.uri("videos", "g"), "outputs": place.uri("uhd"), "dead_letters": place.uri("dead")}
    assert run([f"--{name}={value}" for name, value in names.items()]) == 0
    assert CLOSES in capsys.readouterr().out
    assert place.messages("uhd") == MESSAGES
    assert open_queue(names["input"]).splits() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"outputs": " "},
            "--outputs: ' ' names 0 queues, not 1 or more; put spaces between them; write, for",
        ),
        ({"outputs": "sqlite:///q.db?topic=a x://b"}, "--outputs: the queue x://b starts with x://, which is none of"),
        ({"outputs": "out.jsonl sqlite:///q.db?topic=v"}, "--outputs would be written to sqlite:///q.db?topic=v, from"),
        ({"outputs": "out.jsonl ./out.jsonl"}, "--outputs and --outputs are both ./out.jsonl; use a queue for each"),
        ({"output": "out.jsonl"}, "unknown parameter --output; did you mean --outputs?"),
        ({"outputs": ""}, "missing --outputs; write, for example, --outputs 'kafka://localhost:9092/uhd kafka://"),
    ],
)
def test_wrong_options_start_nothing(
    changes: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "input": "sqlite:///q.db?topic=v&group=g",
        "outputs": "sqlite:///q.db?topic=a sqlite:///q.db?topic=b",
        "dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert refused(run, given, capsys).startswith(sentence)


@pytest.mark.integration
def test_the_report_shows_the_queues_as_they_were_given(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put("videos", *MESSAGES)
    outputs, page = f"{place.uri('uhd')} {place.uri('mobile')}", tmp_path / "out.html"
    names = {"input": place.uri("videos", "g"), "outputs": outputs, "dead_letters": place.uri("dead")}
    assert run([*(f"--{name}={value}" for name, value in names.items()), f"--report={page}", "--quiet"]) == 0
    assert json.dumps(outputs)[1:-1] in page.read_text()
