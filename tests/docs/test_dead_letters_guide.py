"""Every block of the guide to dead letters does what it says, and its table is that of the record."""

import re
from pathlib import Path

import pytest

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message
from tests import ROOT
from tests.docs.test_readme import shell

GUIDE = (ROOT / "docs" / "dead-letters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.M | re.S)
ROWS = [[cell.strip() for cell in row.split("|")] for row in re.findall(r"^\| (`\w+` \|.*) \|$", GUIDE, flags=re.M)]


def test_every_field_has_its_row_with_the_name_it_has_in_a_queue() -> None:
    letter = DeadLetter.of(Message(b"x", source=("orders", 0, 7)), ValueError("no"), step="Work")
    assert [row[0].strip("`") for row in ROWS] == list(DeadLetter._fields)
    named = [name for row in ROWS for name in re.findall(r"`((?:beam_patterns|__connect)[\w.]+)`", row[3])]
    assert sorted(named) == sorted(name for name, _ in letter.as_message().attributes)


@pytest.mark.integration
def test_the_guide_can_be_followed_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    said = list[str]()
    for kind, text in BLOCKS:
        if kind == "python":
            (tmp_path / "shop.py").write_text(text)
        else:
            said.append(shell(text, tmp_path))
    peeked, replayed = said[1], said[2].splitlines()
    assert "HasEmail" in peeked
    assert "cleo@example.com" in peeked
    assert re.search(r"^\w{16} +1 +1 +0 +0  HasEmail: KeyError: 'email'$", said[2], flags=re.M)
    assert "of 1 sent back before, 0 failed again, 1 are resolved" in replayed
    assert replayed[-1].split()[0] == "3"


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
