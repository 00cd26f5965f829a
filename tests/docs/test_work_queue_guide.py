"""Every block of the guide to work queues does what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.test_readme import shell
from tests.servers import free_port
from tests.transforms.queues.http.test_work_queue_source import folder, serving

GUIDE = (ROOT / "docs" / "work-queue.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.M | re.S)


def lines(path: Path) -> list[str]:
    """In an order of their own."""
    return sorted(path.read_text().splitlines())


@pytest.mark.integration
@pytest.mark.timeout(1800)  # Ten programs, one after the other; see `shell` for each.
def test_the_guide_can_be_followed_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    port, said = free_port(), []
    for number, (kind, text) in enumerate(BLOCKS):
        if kind == "bash":
            said.append(shell(text.replace("8080", str(port)), tmp_path))
        elif kind == "python":
            (tmp_path / f"{number}.py").write_text(text)
            shell(f"python {number}.py", tmp_path)
    letters = [f"{tmp_path}/letters/{name}.md" for name in ("ann", "bob")]
    assert [json.loads(line) for line in lines(tmp_path / "words.jsonl")] == [{"path": p, "words": 4} for p in letters]
    counts = [json.loads(line)["value"] for line in said[1].splitlines() if line.startswith('{"value"')]
    assert sorted(counts) == [f"4 {path}\n" for path in letters]
    assert lines(tmp_path / "paths.jsonl") == letters
    assert lines(tmp_path / "again.jsonl") == sorted(2 * letters)
    assert not (tmp_path / "failed.jsonl").exists()
    listed, peeked, *_ = next(text for text in said if "ItemList" in text).splitlines()[0].partition("}")[::2]
    assert json.loads(listed + "}")["items"] == letters
    assert str(tmp_path) in peeked
    assert "thumbnails/index.html\nthumbnails/video-01.mp4/sheet.jpg" in said[-1]


def test_the_contract_is_shown_as_it_is(tmp_path: Path) -> None:
    (shown,) = (text for kind, text in BLOCKS if kind == "json")
    listed, item = map(json.loads, shown.splitlines())
    assert (listed["kind"], item["kind"], set(item["data"])) == ("ItemList", "Item", {"path", "size", "modified"})
    assert {listed["apiVersion"], item["apiVersion"]} == {"v1"}


@pytest.mark.integration
def test_a_source_is_tested_by_the_command_that_the_guide_names(tmp_path: Path) -> None:
    assert "    pytest --work-queue-source http://" in GUIDE
    with serving(folder(tmp_path)) as url:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--work-queue-source", url]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
