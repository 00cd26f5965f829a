"""The three ways to start a pipeline, in processes of their own."""

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from beam_patterns.pipelines.cli.known import pipelines
from beam_patterns.pipelines.cli.main import main
from tests import ROOT
from tests.pipelines.signups import VERIFY, WELCOME, Place, confirmation, signup

_BIN = Path(sys.executable).parent


def ways(name: str) -> dict[str, list[str]]:
    return {
        "by path": [sys.executable, str(ROOT / "pipelines" / f"{name}.py")],
        "by module": [sys.executable, "-m", "beam_patterns.pipelines", name],
        "by command": [str(_BIN / "beam-patterns"), "run", name],
    }


@pytest.mark.integration
@pytest.mark.parametrize("way", ways(""))
def test_a_pipeline_runs_from_an_empty_folder_whichever_way_it_is_started(tmp_path: Path, way: str) -> None:
    place = Place(tmp_path)
    place.put("signups", signup("ann"), b"broken")
    place.put("confirmations", confirmation("ann"))
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [*ways("new_user_signup")[way], *place.arguments()]
    run = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert "balance: in = out + dropped + dead + duplicates at every step" in run.stdout.splitlines()
    assert place.mailed() == [("ann@example.com", VERIFY), ("ann@example.com", WELCOME)]
    assert [letter.payload for letter in place.dead()] == [b"broken"]
    assert list(empty.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize("way", ways(""))
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2_whichever_way(tmp_path: Path, way: str) -> None:
    command = [*ways("new_user_signup")[way], "--signups", "memory://a?group=g", "--sigups", "b"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", "unknown parameter --sigups; did you mean --signups?\n")


def test_list_shows_each_pipeline_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(pipelines())
    assert "new_user_signup" in pipelines()
    for line in lines:
        assert line.split(maxsplit=1)[1].endswith(".")


def test_the_list_needs_no_beam() -> None:
    code = (
        "import sys; from beam_patterns.pipelines.cli.main import main; main(['list']); "
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "beam_patterns.pipelines", "list"]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"beam-patterns {version('beam-patterns')}\n"


def test_no_arguments_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "beam-patterns run NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], f"run needs the name of a pipeline: {', '.join(pipelines())}"),
        (["show"], f"show needs the name of a pipeline: {', '.join(pipelines())}"),
        (["run", "new_user_signups"], "unknown pipeline 'new_user_signups'; did you mean new_user_signup?"),
        (["zzz"], "unknown pipeline 'zzz'; see beam-patterns list"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "pipelines").iterdir() if path.stem[0] != "_"))
def test_no_file_or_folder_in_pipelines_hides_another_module(name: str) -> None:
    if name != "py":  # py.typed is not a module.
        found = importlib.util.find_spec(name)
        assert found is None or str(ROOT) in str(found.origin), f"{name} hides {found}"


@pytest.mark.parametrize("name", sorted(pipelines()))
def test_every_pipeline_begins_as_all_do(name: str) -> None:
    text = (ROOT / "pipelines" / f"{name}.py").read_text()
    assert f"python pipelines/{name}.py" in text.partition('"""\n\n')[0]
    assert "    run_as_module(__file__)\n" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"--signups": "sqlite:///q.db?topic=a"}, None),
        ({"--pending": "sqlite:///q.db?topic=pending"}, None),
        ({"--pending": "pending.jsonl"}, None),
        ({"--output": "kafka://"}, None),
        (
            {"--output": "sqlite:///q.db"},
            "--output: 'sqlite:///q.db' names a database but no beginning of a topic's name; add ?topic=; write, for "
            "example, --output 'sqlite:///data/queues.db?topic='",
        ),
        (
            {"--report": "/nowhere/r.html"},
            "--report: '/nowhere/r.html' can't be written; name a file in a folder that exists and that you may write "
            "to; write, for example, --report report.html",
        ),
        ({"--report": "/"}, "--report: '/' is a folder; name a file in it; write, for example, --report report.html"),
        (
            {"--expire_after": "9999999999d"},
            "--expire_after: '9999999999d' is not a duration; write, for example, --expire_after 7d",
        ),
        ({"--mail": "pop3://x"}, "--mail: 'pop3://x' is neither a folder nor smtp://host:port"),
        ({"--mail": "smtp://ann:secret@x"}, None),
        ({"--sender": "nobody"}, "--sender: 'nobody' is not a name and address such as Shop <hello@shop.example>"),
        ({"--dead_letters": "sqlite:///q.db?topic=signups"}, None),
        ({"--expire_after": "soon"}, "--expire_after: 'soon' is not a duration; write, for example, --expire_after 7d"),
        ({"--site": "shop"}, "--site: 'shop' does not have the form of https://shop.example"),
    ],
)
def test_new_user_signup_refuses_values_that_make_no_sense(
    changes: dict[str, str], sentence: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "--signups": "sqlite:///q.db?topic=signups&group=g",
        "--confirmations": "sqlite:///q.db?topic=confirmations&group=g",
        "--output": "sqlite:///q.db?topic=",
        "--dead_letters": "sqlite:///q.db?topic=dead",
        **changes,
    }
    assert main(["run", "new_user_signup", *(part for pair in given.items() for part in pair)]) == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "secret" not in shown
    assert sentence is None or shown == f"{sentence}\n"
