"""Pipelines of installed packages: the entry-point group beam_patterns.pipelines."""

from pathlib import Path

import pytest

from beam_patterns.pipelines.cli.known import module_of, pipelines

ENTRY_POINTS = """[beam_patterns.pipelines]
own = own_flows.alerts
word_count = own_flows.alerts
gone = no_such_package.flow
missing = own_flows.missing
raising = raising_package.flow
"""


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed packages; one raises when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "own_flows/alerts.py": '"""Sends alerts.\n\nAnd more."""\n\n\ndef run(argv):\n    """Runs."""\n    return 7\n',
        "raising_package/__init__.py": "raise RuntimeError('not today')\n",
        "own-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n",
        "own-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)


def test_a_pipeline_of_a_package_is_listed_and_found_but_replaces_no_ready_one() -> None:
    assert pipelines()["own"] == "Sends alerts."
    assert pipelines()["word_count"].startswith("Counts how often")
    assert module_of("own").run([]) == 7
    assert module_of("own_flows.alerts").run([]) == 7
    assert module_of("word_count").__name__ == "beam_patterns.pipelines.word_count"


def test_a_package_that_can_not_be_imported_hides_no_other_pipeline() -> None:
    known = pipelines()
    assert known["gone"] == "no_such_package.flow can't be imported: No module named 'no_such_package'"
    assert known["raising"] == "raising_package.flow can't be imported: not today"
    assert known["missing"] == "the module own_flows.missing does not exist"
    assert "filter_queue" in known


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "gone",
            "the pipeline 'no_such_package.flow' can't be found: No module named 'no_such_package'; "
            "install its package",
        ),
        ("missing", "the module 'own_flows.missing' does not exist; install its package"),
        ("own_flows", "unknown pipeline 'own_flows'; see beam-patterns list"),
        ("ow", "unknown pipeline 'ow'; did you mean own?"),
    ],
)
def test_a_pipeline_that_is_not_there_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        module_of(name)
    assert str(caught.value) == sentence
