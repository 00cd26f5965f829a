"""The table of guarantees names the tests that prove them."""

import ast
import re

from tests import ROOT

LINES = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8").splitlines()
ROWS = [line for line in LINES if line.startswith("|")][2:]


def proofs(line: str) -> list[tuple[str, str]]:
    """Files and tests that a line names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)


def test_every_guarantee_names_a_test() -> None:
    assert ROWS
    assert [row for row in ROWS if not proofs(row.rstrip("| ").rpartition("|")[2])] == []


def test_the_tests_named_exist() -> None:
    for file, name in (proof for line in LINES for proof in proofs(line)):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
