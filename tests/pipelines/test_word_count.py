"""Word counts are exact, from files and from queues."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_patterns.pipelines.word_count import run
from beam_patterns.transforms.queues import Message, open_queue
from tests import SOAK


def counted(folder: Path, text: str, *more: str) -> dict[str, int]:
    """Runs the pipeline and returns the counts that it wrote."""
    counts = folder / f"counts-{len(list(folder.glob('counts-*')))}.csv"
    arguments = ["--text", text, "--counts", str(counts), "--dead_letters", f"{folder}/dead.jsonl", "--quiet"]
    assert run([*arguments, *more]) == 0
    if not counts.exists():
        return {}
    with counts.open(newline="") as file:
        return {row["word"]: int(row["count"]) for row in csv.DictReader(file)}


def put(uri: str, *texts: bytes) -> None:
    writer = open_queue(uri).writer()
    writer.write([Message(text) for text in texts])
    writer.flush()
    writer.close()


@pytest.mark.integration
def test_words_of_any_script_are_counted_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "The cat\N{RIGHT SINGLE QUOTATION MARK}s tail -- the CAT's 2 tails!\nStraße, STRASSE\n"
    )
    (tmp_path / "b.txt").write_text("東京 the_end\n\n")
    assert counted(tmp_path, f"{tmp_path}/*.txt") == {
        "the": 3,
        "cat's": 2,
        "tail": 1,
        "tails": 1,
        "strasse": 2,
        "東京": 1,
        "end": 1,
    }


@pytest.mark.integration
@settings(max_examples=5 * SOAK, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.sampled_from(["the", "cat", "dog", "a"]), max_size=8), min_size=1, max_size=30),
    st.integers(1, 4),
)
def test_the_counts_do_not_depend_on_how_the_text_is_divided_into_files(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]], files: int
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for number in range(files):
        (folder / f"{number}.txt").write_text("".join(" ".join(line) + "\n" for line in lines[number::files]))
    assert counted(folder, f"{folder}/*.txt") == Counter(word for line in lines for word in line)


@pytest.mark.integration
def test_a_line_that_is_not_text_is_a_dead_letter(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"the cat\nthe \xff dog\n")
    assert counted(tmp_path, f"{tmp_path}/a.txt") == {"the": 1, "cat": 1}
    (letter,) = map(json.loads, (tmp_path / "dead.jsonl").open())
    assert letter["error_type"] == "UnicodeDecodeError"
    assert letter["step"] == "Text"


@pytest.mark.integration
def test_a_queue_is_counted_from_where_the_last_run_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite://{tmp_path}/queues.db?topic=posts"
    put(uri, b'{"body": "the cat"}', b'{"title": "no body"}', b'["the"]', b'{"body": "the dog"}')
    assert counted(tmp_path, f"{uri}&group=words", "--field", "body") == {"the": 2, "cat": 1, "dog": 1}
    put(uri, b'{"body": "cat cat"}')
    assert counted(tmp_path, f"{uri}&group=words", "--field", "body") == {"cat": 2}
    assert counted(tmp_path, f"{uri}&group=words", "--field", "body") == {}
    reasons = {json.loads(line)["error_message"] for line in (tmp_path / "dead.jsonl").open()}
    assert reasons == {"the field 'body' has no text"}


@pytest.mark.integration
def test_prism_does_the_same(tmp_path: Path, prism_endpoint: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"the cat\nthe \xff dog\n")
    (tmp_path / "b.txt").write_text("the dog\n")
    prism = ["--runner=PortableRunner", f"--job_endpoint={prism_endpoint}", "--environment_type=LOOPBACK"]
    assert counted(tmp_path, f"{tmp_path}/*.txt", *prism) == {"the": 2, "cat": 1, "dog": 1}
    assert len((tmp_path / "dead.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--counts", "x.csv", "--streaming", "--runner", "PrismRunner"], "--streaming: counts are complete only when"),
        (["--counts", "a.txt"], "--counts would be written to a.txt, from which --text is read"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["--text", "a.txt", "--dead_letters", "dead.jsonl", *arguments]) == 2
    assert re.search(sentence, capsys.readouterr().err)
