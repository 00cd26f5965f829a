"""What the guide shows, installed with the project into a new environment, works without a change here."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from beam_patterns.transforms.queues import Queue, Writer
from tests import ROOT
from tests.environments import install, new_environment
from tests.typing.test_typing import errors_of_mypy

GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.M | re.S)
KIND, REGISTRATION, CONTRACT = (text for kind, text in BLOCKS if kind == "python" and "spool" in text)
(PROJECT,) = (text for kind, text in BLOCKS if kind == "toml" and "beam_patterns.queues" in text)
SPOOL = "/tmp/spool"
(READINGS,) = (text for kind, text in BLOCKS if kind == "toml" and "beam_patterns.pipelines" in text)
#: The modules of the package `readings`, each named before its block.
MODULES = dict(re.findall(r"`readings/(\w+)\.py`:\n\n```python\n(.*?)^```$", GUIDE, flags=re.M | re.S))
(COMMANDS,) = (text for kind, text in BLOCKS if kind == "bash")
(TYPES,) = (text for kind, text in BLOCKS if kind == "python" and "with_result" in text)


@dataclass
class Environment:
    """A virtual environment with a folder for spools."""

    folder: Path
    bin: Path
    output: str = field(default="", init=False)

    def run(self, *command: str, stdin: str = "") -> int:
        """Runs a command in the folder, in which /tmp/spool of the guide is ./spool; returns its exit code."""
        command = (str(self.bin / command[0]), *(part.replace(SPOOL, f"{self.folder}/spool") for part in command[1:]))
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        run = subprocess.run(
            command, cwd=self.folder, env=env, input=stdin, capture_output=True, text=True, timeout=300
        )
        self.output = run.stdout + run.stderr
        return run.returncode

    def values(self, name: str) -> list[str]:
        """The payloads that `queue peek` prints for a new group."""
        assert self.run("beam-patterns", "queue", "peek", f"spool://{SPOOL}/{name}?group=look", "-n", "100") == 0
        return [json.loads(line).get("value") for line in self.output.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The project and the guide's packages, installed by pip."""
    folder = tmp_path_factory.mktemp("extending")
    package = folder / "package"
    package.mkdir()
    (package / "spool_queue.py").write_text(KIND)
    (package / "pyproject.toml").write_text(PROJECT)
    (folder / "pipelines" / "readings").mkdir(parents=True)
    (folder / "pipelines" / "pyproject.toml").write_text(READINGS)
    for name, text in MODULES.items():
        (folder / "pipelines" / "readings" / f"{name}.py").write_text(text)
    python = new_environment(folder)
    install(python, ROOT, package, folder / "pipelines")
    return Environment(folder, python.parent)


USERS = ['{"name": "ann", "age": 41}', '{"name": "bob", "age": 12}', '{"name": "cleo"}']


@pytest.mark.integration
def test_the_commands_work_on_the_kind(environment: Environment) -> None:
    users = f"spool://{SPOOL}/users?group=filter"
    assert environment.run("beam-patterns", "queue", "publish", users, stdin="\n".join(USERS) + "\n") == 0
    assert environment.values("users") == USERS
    assert environment.run("beam-patterns", "queue", "count", users) == 0
    assert environment.output.splitlines()[-1] == "3"
    assert environment.run("beam-patterns", "queue", "lag", users) == 0
    assert environment.output.splitlines()[-2:] == ["0\t0\t3\t3", "lag\t3"]
    assert environment.run("beam-patterns", "queue", "peek", f"{users}&speed=2") == 2
    assert "has an unknown parameter 'speed'; known are group" in environment.output
    assert environment.run("beam-patterns", "queue", "peek", f"spool://{SPOOL}/missing?group=g") == 1
    assert "missing does not exist; check the path" in environment.output


@pytest.mark.integration
def test_a_pipeline_reads_and_writes_the_kind_and_its_dead_letters_are_replayed(environment: Environment) -> None:
    queues = [f"--input=spool://{SPOOL}/users?group=filter", f"--output=spool://{SPOOL}/adults"]
    options = [*queues, f"--dead_letters=spool://{SPOOL}/dead", "--where=item.age >= 18"]
    assert environment.run("beam-patterns", "queue", "publish", queues[0][8:], stdin="\n".join(USERS) + "\n") == 0
    assert environment.run("beam-patterns", "show", "filter_queue", *options) == 0
    assert "Filter" in environment.output
    assert environment.run("beam-patterns", "run", "filter_queue", *options, "--report=report.html") == 0
    assert set(environment.values("adults")) == {USERS[0]}
    assert set(environment.values("dead")) == {USERS[2]}
    report = (environment.folder / "report.html").read_text()
    assert f"spool://{environment.folder}/spool/dead?group=replay" in report
    assert "--to" not in report

    before = len(environment.values("users"))
    assert environment.run("beam-patterns", "run", "filter_queue", *options) == 0
    assert "nothing new in spool://" in environment.output
    replay = ["run", "replay_dead_letters", f"--dead_letters=spool://{SPOOL}/dead?group=replay"]
    assert environment.run("beam-patterns", *replay) == 0
    assert environment.values("users")[before:] == [USERS[2]] * len(environment.values("dead"))


def described(name: str, environment: Environment) -> list[Any]:
    """The values in a file of JSON lines."""
    return [json.loads(line) for line in (environment.folder / name).read_text().splitlines()]


@pytest.mark.integration
def test_the_pipeline_runs_with_its_pattern_and_its_worker(environment: Environment) -> None:
    script = f"PATH={environment.bin}:$PATH; {COMMANDS}"
    assert environment.run(str(shutil.which("bash")), "-euc", script) == 0, environment.output
    assert "WARNING" not in environment.output
    assert "balance: in = out + dropped + dead + duplicates at every step" in environment.output
    rows = [" ".join(line.split()) for line in environment.output.splitlines()]
    assert {"Bands 3 3 low 1, high 2", "Describe 2 1 1 results 1", "Write alerts 1 1"} <= set(rows)
    assert (environment.folder / "alerts.jsonl").read_text() == "the boiler is at 80 C\n"
    assert described("archive.jsonl", environment) == [{"sensor": "t1", "value": 20}]
    (letter,) = described("failed.jsonl", environment)
    assert (letter["step"], letter["attempts"], letter["error_message"]) == ("Describe", 1, "unknown sensor t9")


@pytest.mark.integration
def test_the_pipeline_is_found_by_its_entry_point(environment: Environment) -> None:
    assert environment.run("beam-patterns", "list") == 0
    assert re.search(
        r"^alerts +Describes readings above a limit, and keeps the others\.$", environment.output, flags=re.M
    )
    assert environment.run("beam-patterns", "run", "alerts", "--help") == 0
    assert "Readings from this value on are alerts." in environment.output
    assert environment.run("beam-patterns", "run", "alerts", "--input=in.jsonl", "--alerts=x", "--archive=x") == 2


@pytest.mark.integration
def test_the_modules_pass_mypy_strict(tmp_path: Path) -> None:
    assert sorted(MODULES) == ["alerts", "bands", "describe"]
    (tmp_path / "readings").mkdir()
    for name, text in {**MODULES, "orders": TYPES}.items():
        (tmp_path / "readings" / f"{name}.py").write_text(text)
    program = tmp_path / "program.py"
    program.write_text("import readings.alerts\nimport readings.orders\n")
    assert errors_of_mypy(Path(sys.executable), program) == {}


@pytest.mark.integration
def test_the_kind_passes_queue_contract(environment: Environment) -> None:
    assert environment.run("python", "-W", "ignore", "-c", CONTRACT.replace(SPOOL, f"{environment.folder}/spool")) == 0


def test_the_example_is_short() -> None:
    assert len(KIND.splitlines()) <= 60


@pytest.mark.integration
def test_a_process_registers_the_kind_as_the_guide_shows(tmp_path: Path) -> None:
    (tmp_path / "spool_queue.py").write_text(KIND)
    code = f"{REGISTRATION}\n{CONTRACT.replace(SPOOL, f'{tmp_path}/spool')}"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_the_tables_name_each_part_of_the_interface() -> None:
    named = set(re.findall(r"^\| `(\w+)(?:\(.*?\))?` \|", GUIDE, flags=re.M))
    public = {name for kind in (Queue, Writer) for name in vars(kind) if not name.startswith("_")}
    attributes = set(Queue.__annotations__)
    assert named & (public | attributes) == (public | attributes) - {
        "group",
        "time_field",
        "can_follow",
        "write_with_ids",
    }


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
