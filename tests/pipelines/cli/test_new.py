"""beam-patterns new: a pipeline of the user's own that works at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from beam_patterns.pipelines.cli.main import main
from beam_patterns.pipelines.cli.scaffold.my_flow import MyFlowOptions

_BIN = Path(sys.executable).parent


def ran(*command: str | Path, cwd: Path) -> str:
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    return run.stdout


@pytest.mark.integration
def test_a_new_pipeline_is_tested_run_by_path_and_described_from_an_empty_folder(tmp_path: Path) -> None:
    shown = ran(_BIN / "beam-patterns", "new", "big_orders", "--into", "flows", cwd=tmp_path)
    flows, data = tmp_path / "flows", tmp_path / "data"
    files = sorted(path.name for path in flows.iterdir())
    assert files == ["big_orders.json", "big_orders.py", "test_big_orders.py"]
    assert shown.startswith(f"Wrote big_orders.py, test_big_orders.py, big_orders.json to {flows}.")
    assert "3 passed" in ran(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_big_orders.py", cwd=flows)

    data.mkdir()
    (data / "items.jsonl").write_text('{"id": "a", "amount": 120}\n{"id": "b", "amount": 3}\n')
    queues = {"--input": "items.jsonl", "--output": "labels.jsonl", "--dead_letters": "dead.jsonl"}
    options = [part for pair in queues.items() for part in pair]
    printed = ran(sys.executable, flows / "big_orders.py", *options, "--least=100", cwd=data)
    assert "balance: in = out + dropped + dead + duplicates at every step" in printed.splitlines()
    assert (data / "labels.jsonl").read_text() == '{"id":"a","label":"120 of a"}\n'

    (metadata,) = [line for line in shown.splitlines() if "--metadata" in line]
    ran(_BIN / metadata.split()[0], *metadata.split()[1:-1], "again.json", cwd=flows)
    assert (flows / "again.json").read_text() == (flows / "big_orders.json").read_text()
    assert json.loads((flows / "again.json").read_text())["name"] == "Big orders"
    assert "my_flow" not in "".join(path.read_text().lower() for path in flows.glob("*.*"))


def test_a_file_is_a_pipeline_for_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["new", "shown_flow", "--into", str(tmp_path)]) == 0
    assert main(["show", f"{tmp_path}/shown_flow.py"]) == 0
    assert "Large" in capsys.readouterr().out
    assert main(["template", f"{tmp_path}/shown_flow.py", "--image", "r.example/p/i:1"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["name"] == "Shown flow"
    assert main([f"{tmp_path}/shown_flow.py", "--input", "a.jsonl", "--out", "b.jsonl"]) == 2
    assert capsys.readouterr().err == "unknown parameter --out; did you mean --output?\n"


def test_a_file_started_by_its_path_runs_as_the_module_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "named_flow.py").write_text(
        "if __name__ == '__main__':\n"
        "    from beam_patterns.pipelines.cli.script import run_as_module\n"
        "    run_as_module(__file__, package='')\n"
        "def run(argv=None):\n"
        "    import sys\n"
        "    print(run.__module__, sys.argv[1:])\n"
        "    return 3\n"
    )
    run = subprocess.run([sys.executable, tmp_path / "named_flow.py", "--a"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (3, "named_flow ['--a']\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-flow", "'my-flow' can't name a pipeline; use letters, digits and underscores, such as my_flow"),
        ("class", "'class' can't name a pipeline; use letters, digits and underscores, such as my_flow"),
        ("test_flow", "'test_flow' can't name a pipeline; use letters, digits and underscores, such as my_flow"),
        ("json", "'json' is the name of an existing module; use another name, such as my_json"),
        ("pyarrow", "'pyarrow' is the name of an existing module; use another name, such as my_pyarrow"),
        ("beam_patterns", "'beam_patterns' is the name of an existing module; use another name, such as "),
        ("taken", "{folder}/test_taken.py already exists, so nothing was written; use another name or folder"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_sentence_and_nothing_is_written(
    name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_taken.py").write_text("mine")
    assert main(["new", name, "--into", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(sentence.format(folder=tmp_path))
    assert len(shown.splitlines()) == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("nowhere.py", "the file '{folder}/nowhere.py' does not exist"),
        ("string.py", "'{folder}/string.py' has the name of another module, "),
    ],
)
def test_a_file_that_cannot_be_a_module_is_one_sentence(
    file: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "string.py").write_text("")
    assert main(["run", f"{tmp_path}/{file}"]) == 2
    assert capsys.readouterr().err.startswith(sentence.format(folder=tmp_path))


def test_the_options_refuse_to_write_where_they_read() -> None:
    given = ["--input=memory://a?group=g", "--output=memory://a", "--dead_letters=memory://b"]
    with pytest.raises(
        ValueError, match=r"^--output would be written to memory://a, from which --input is read; use another queue$"
    ):
        MyFlowOptions.parse(given)
