"""Every block of the guide to Flink does what it says, on the servers that `make servers` starts."""

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_patterns.transforms.queues import open_queue
from tests import ROOT
from tests.docs.test_readme import shell
from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("flink"), pytest.mark.timeout(900)]

GUIDE = (ROOT / "docs" / "flink.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.M | re.S)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the servers tell to export; they end with Ctrl-C."""
    said = tmp_path / "said"
    with said.open("wb") as out:
        servers = subprocess.Popen([sys.executable, "-m", "tests.servers"], cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_until(lambda: "Ctrl-C ends" in said.read_text() or servers.poll() is not None, "the servers")
        yield dict(re.findall(r"^export (\w+)='?(.*?)'?$", said.read_text(), flags=re.M))
    finally:
        servers.send_signal(signal.SIGINT)
        assert servers.wait(60) == 0, said.read_text()
    assert said.read_text().endswith("\nended\n")


def shipped(kafka: str) -> list[int]:
    """Which orders have come through."""
    queue = open_queue(f"kafka://{kafka}/shipped?group=look")
    return sorted({m.json()["id"] for split in queue.splits() for batch in queue.read(split) for m in batch})


def test_the_guide_can_be_followed_from_its_first_block_to_its_last(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    bounded, again, stream, savepoint = (text for kind, text in BLOCKS if kind == "bash")
    (tmp_path / "empty").mkdir()
    for block, counts in ((bounded, "counts.csv"), (again, "again.csv")):
        assert "balance: in = out + dropped + dead + duplicates at every step" in shell(block, tmp_path / "empty")
        with (tmp_path / "empty" / counts).open(newline="") as file:
            found = {row["word"]: int(row["count"]) for row in csv.DictReader(file)}
        assert found == {"the": 2, "cat": 1, "sat": 1, "on": 1, "mat": 1}
    for block, orders in ((stream, [1]), (savepoint, [1, 2])):
        shell(block, tmp_path / "empty")
        wait_until(lambda orders=orders: shipped(os.environ["KAFKA"]) == orders, f"orders {orders}")


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
