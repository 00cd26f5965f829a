"""Every block of the README does what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_patterns import transforms
from beam_patterns.pipelines.cli.known import pipelines
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.M | re.S)
BASH = [text for kind, text in BLOCKS if kind == "bash"]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
FIRST_RUN = "make demo "


def shell(script: str, folder: Path) -> str:
    """Runs a block as a reader would, in a folder where the repository's examples and pipelines are."""
    for name in ("examples", "pipelines"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_every_block_has_a_kind_that_is_tested_here() -> None:
    assert {kind for kind, _ in BLOCKS} == {"", "bash", "python"}
    assert len(PYTHON) == 1
    assert [block.split()[:2] for block in BASH] == [
        ["make", "demo"],
        ["echo", """'{"id":"""],
        ["test", "!"],
        ["python", "examples/signups.py"],
    ]


@pytest.mark.integration
def test_make_demo_sets_up_everything_by_itself(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".git", ".venv", "demo", "__pycache__", "*.egg-info", "build", ".*_cache")
    shutil.copytree(ROOT, tmp_path / "clone", ignore=ignored)
    command = ["make", "demo", "SIGNUPS=300"]
    run = subprocess.run(command, cwd=tmp_path / "clone", capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    first, second, third = re.split(r"== run \d.*\n", run.stdout)[1:]
    closes = "balance: in = out + dropped + dead + duplicates at every step"
    assert closes in first
    assert [line.split()[:3] for line in second.splitlines() if "nothing new" in line] == [["nothing", "new", "in"]] * 2
    assert closes in third
    assert re.search(r"^Match .* confirmed \d+", third, flags=re.M)
    assert (tmp_path / "clone" / "demo" / "queues.db").exists()
    assert any((tmp_path / "clone" / "demo" / "outbox" / "new").iterdir())


def test_make_test_is_what_the_project_is_checked_with() -> None:
    assert "make test " in BASH[0]
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^(exec )?make test$", script, flags=re.M)
    dry = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m pytest" in dry.stdout


@pytest.mark.integration
def test_the_example_of_imported_transforms_runs(tmp_path: Path) -> None:
    shell(BASH[1], tmp_path)
    (tmp_path / "example.py").write_text(PYTHON[0])
    shell("python example.py", tmp_path)
    assert (tmp_path / "emails.jsonl").read_text() == '{"id": 1, "shipped": true, "tell": "email"}\n'
    assert not (tmp_path / "texts.jsonl").exists() or (tmp_path / "texts.jsonl").read_text() == ""
    (dead,) = pq.read_table(tmp_path / "dead_letters.parquet").to_pylist()
    assert dead["payload"] == b'{"id": 3, "shipped":'


@pytest.mark.integration
def test_the_pipelines_are_listed_and_explained(tmp_path: Path) -> None:
    shown = shell(BASH[2], tmp_path)
    listed = [line.split()[0] for line in shown.partition("\nusage: ")[0].splitlines() if line[:1].strip()]
    assert listed == sorted(pipelines())
    assert "--signups SIGNUPS" in shown


@pytest.mark.integration
def test_the_flow_runs_on_queues_of_ones_own(tmp_path: Path) -> None:
    shown = shell(BASH[3], tmp_path)
    assert "balance: in = out + dropped + dead + duplicates at every step" in shown
    assert len(list((tmp_path / "outbox" / "new").iterdir())) > 20


def test_the_table_has_every_pattern() -> None:
    named = set(re.findall(r"^\| \[(\w+)\]\(transforms/", README, flags=re.M))
    patterns = {name for name in transforms.__all__ if hasattr(getattr(transforms, name), "expand")}
    assert named >= patterns - {"ReadRows"}
    assert named <= set(transforms.__all__)


def test_the_table_has_every_pipeline() -> None:
    named = re.findall(r"^\| \[(\w+)\]\(pipelines/", README, flags=re.M)
    assert sorted(named) == sorted(pipelines())


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    declared = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert found and declared and found[1] == declared[1]
