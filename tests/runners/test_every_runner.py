"""One command line, every runner: the same results, the same balance."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from beam_patterns.pipelines.cli.known import pipelines
from tests.pipelines.cli.test_main import ways

from .cases import CASES, filled, found, put

_STEP = re.compile(r"(\S.*?)((?: +[\d,]+)+)(?:  .*)?")


@pytest.fixture(
    params=[
        "DirectRunner",
        pytest.param("Prism", marks=pytest.mark.integration),
        pytest.param("Flink", marks=[pytest.mark.integration, pytest.mark.xdist_group("flink")]),
    ]
)
def runner_flags(request: pytest.FixtureRequest) -> list[str]:
    """What sends a pipeline to each runner."""
    if request.param == "DirectRunner":
        return []
    if request.param == "Flink":
        return request.getfixturevalue("flink_cluster").flags
    endpoint = request.getfixturevalue("prism_endpoint")
    return ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]


def balance(shown: str) -> list[str]:
    """The lines of the steps that had something to do, without the branches."""
    lines = shown.partition("\nbalance: in = out")[0].partition("of which")[2].splitlines()[1:]
    steps = (re.fullmatch(_STEP, line.rstrip()) for line in lines)
    return [f"{step[1]} {' '.join(step[2].split())}" for step in steps if step and re.search("[1-9]", step[2])]


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_does_the_same_on_every_runner(
    name: str, runner_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    for place, content in case.given.items():
        put(tmp_path, place, content)
    run = importlib.import_module(f"beam_patterns.pipelines.{name}").run
    code = run([*(filled(argument, tmp_path) for argument in case.argv), *runner_flags])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert {place: found(tmp_path, place) for place in case.wanted} == case.wanted
    assert balance(shown.out) == case.balance.split(", ")


@pytest.mark.integration
@pytest.mark.parametrize("way", ways(""))
def test_it_does_so_from_an_empty_folder_whichever_way_it_is_started(
    way: str, runner_flags: list[str], tmp_path: Path
) -> None:
    case, empty = CASES["word_count"], tmp_path / "empty"
    empty.mkdir()
    for place, content in case.given.items():
        put(tmp_path, place, content)
    command = [*ways("word_count")[way], *(filled(argument, tmp_path) for argument in case.argv), *runner_flags]
    run = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert {place: found(tmp_path, place) for place in case.wanted} == case.wanted
    assert balance(run.stdout) == case.balance.split(", ")
    assert list(empty.iterdir()) == []


@pytest.mark.integration
def test_every_pipeline_has_its_case() -> None:
    assert sorted(CASES) == sorted(pipelines())
