"""The pipeline, from its input queue to its output queues."""

import json
from pathlib import Path

import pytest
from my_flow import MyFlowOptions, run

from beam_patterns.pipelines import metadata_of


def arguments(folder: Path) -> list[str]:
    """A command line with queues in a folder, and items in the input queue."""
    items = ['{"id": "a", "amount": 12}', '{"id": "b", "amount": 3}', '{"id": "c"}', "not JSON"]
    (folder / "items.jsonl").write_text("\n".join(items))
    names = {"--input": "items", "--output": "labels", "--dead_letters": "dead"}
    return [part for option, name in names.items() for part in (option, f"{folder}/{name}.jsonl")]


def test_large_items_get_a_label_and_broken_items_go_to_the_dead_letters(tmp_path: Path) -> None:
    assert run([*arguments(tmp_path), "--least", "10"]) == 0
    assert (tmp_path / "labels.jsonl").read_text() == '{"id":"a","label":"12 of a"}\n'
    dead = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert sorted((letter["payload"], letter["step"]) for letter in dead) == [
        ("not JSON", "Large"),
        ('{"id": "c"}', "Large"),
    ]


def test_a_wrong_option_is_a_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments(tmp_path), "--least", "many"]) == 2
    assert capsys.readouterr().err == "--least: 'many' is not a whole number; write, for example, --least 100\n"


def test_the_metadata_of_the_template_matches_the_options() -> None:
    """If this fails: beam-patterns template my_flow.py --metadata --output my_flow.json"""
    assert json.loads(Path(__file__).with_name("my_flow.json").read_text()) == metadata_of("my_flow", MyFlowOptions)
