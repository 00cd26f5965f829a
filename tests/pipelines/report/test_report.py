"""The report: one page with everything about a run, whatever the payloads are; and pictures without a run."""

import os
import re
import shlex
from base64 import b64decode
from collections import Counter
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import new_user_signup, replay_dead_letters, run_pipeline
from beam_patterns.pipelines.cli import main as command_line
from beam_patterns.pipelines.cli.show import show
from beam_patterns.pipelines.report import outline
from beam_patterns.pipelines.report.flow import CONTROL, DATA, DEAD, Edge, Flow, Node, counts_of
from beam_patterns.pipelines.report.images import images_in
from beam_patterns.pipelines.report.layout import Layout
from beam_patterns.transforms import DeadLetter, DeadLetters, Join, WorkQueue
from beam_patterns.transforms.queues import Message, open_queue

from . import reported

_RUNS = count()
MARKUP = b"<script>document.title='hacked'</script><img src=x onerror=alert(1)> &amp; \"quoted\" </pre></script>"
AWKWARD = [b"\xff\xfe\x00 not UTF-8", MARKUP, b"x\x00\x80y" * 2_500_000, b""]


def put(*messages: Message) -> str:
    """The URI of a new queue with these messages."""
    name = f"memory://report-{next(_RUNS)}"
    writer = open_queue(name).writer()
    writer.write(messages)
    writer.flush()
    return f"{name}?group=g"


def page_of(tmp_path: Path, *messages: Message, **more: str) -> str:
    """The report of a run with these messages and options."""
    page = tmp_path / "out.html"
    dead = f"sqlite://{tmp_path}/q.db?topic=dead"
    arguments = [f"--source={put(*messages)}", f"--dead_letters={dead}", f"--report={page}"]
    assert reported.run([*arguments, *(f"--{name}={value}" for name, value in more.items())]) == 0
    return page.read_text(encoding="utf-8")


def payloads(page: str) -> list[bytes]:
    """All bytes of the examples, which the page contains in base64."""
    return [
        b64decode(data) for data in re.findall(r'<script type="text/plain" id="payload-\d+">([^<]*)</script>', page)
    ]


def shown(page: str) -> list[str]:
    """The text of the examples that the page shows."""
    return [unescape(text) for text in re.findall(r'<pre class="payload">([^<]*)</pre>', page)]


@pytest.mark.integration
def test_failures_are_grouped_by_fingerprint_with_an_example_and_the_replay_command(tmp_path: Path) -> None:
    failing = [Message(b"item %d" % n, key=b"%d" % (n % 5)) for n in range(50)]
    page = page_of(tmp_path, *failing, *(Message(b"%d" % n) for n in range(5)))
    groups = re.findall(r"<summary><b>(\d+)</b> Check: ([\w.]+): ", page)
    assert sorted(groups) == sorted(
        [("10", "ValueError"), ("10", "KeyError"), ("10", "ZeroDivisionError")]
        + [("10", "tests.pipelines.parsing.TooLateError")] * 2
    )
    assert sorted(payloads(page)) == [b"item %d" % n for n in range(5)]
    queue = open_queue(f"sqlite://{tmp_path}/q.db?topic=dead&group=looks")
    letters = [DeadLetter.from_message(m) for split in queue.splits() for batch in queue.read(split) for m in batch]
    assert Counter(letter.pipeline for letter in letters) == {"reported": 50}
    commands = re.findall(r"--dead_letters 'sqlite://\S+topic=dead&group=replay' --where ", unescape(page))
    assert len(commands) == 5


@pytest.mark.integration
def test_the_replay_command_of_the_page_replays_the_letters_of_its_group(tmp_path: Path) -> None:
    page = page_of(tmp_path, *(Message(b"item %d" % n, key=b"%d" % (n % 2)) for n in range(10)))
    command = unescape(re.findall(r"<pre>(python pipelines/replay_dead_letters.py [^<]*)</pre>", page)[0])
    target = f"sqlite://{tmp_path}/q.db?topic=again"
    assert replay_dead_letters.run([*shlex.split(command)[2:], "--to", target]) == 0
    again = open_queue(f"{target}&group=g")
    values = [m.value for split in again.splits() for batch in again.read(split) for m in batch]
    assert sorted(values) in ([b"item %d" % n for n in range(0, 10, 2)], [b"item %d" % n for n in range(1, 10, 2)])


@pytest.mark.integration
@pytest.mark.parametrize("payload", AWKWARD, ids=["not UTF-8", "markup", "10 MB", "empty"])
def test_a_payload_is_in_the_page_byte_for_byte_and_shown_as_text(tmp_path: Path, payload: bytes) -> None:
    page = page_of(tmp_path, Message(payload, key=b"0", attributes=(("<i>", b"<b>\xff"), ("key", b"of an attribute"))))
    assert payloads(page) == [payload]
    assert shown(page) == [payload[:8000].decode("utf-8", "backslashreplace").replace("\0", "\\x00")[:2000]]
    assert '<tr><td>key</td><td class="text">0</td></tr>' in page
    assert '<tr><td>key</td><td class="text">of an attribute</td></tr>' in page


@pytest.mark.integration
def test_nothing_in_the_page_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    page = page_of(tmp_path, Message(MARKUP, key=b"markup"), Message(b"1"), images=str(tmp_path))
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.S)
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', markup) == []
    assert "url(" not in page.replace("url(#to-", "")
    assert "<img src=x" not in page
    assert page.count("document.title") == page.count("document.title=&#39;hacked&#39;") == 2


@pytest.mark.integration
def test_edges_have_counts_and_those_of_failures_are_red(tmp_path: Path) -> None:
    page = page_of(tmp_path, Message(b"long one"), *(Message(b"%d" % n) for n in range(3)), Message(b"", key=b"1"))
    counts = re.findall(r'class="count (\w+)">([^<]*)<', page)
    assert sorted(counts) == sorted(
        [("data", "5"), ("data", "4"), ("data", "long 1"), ("data", "otherwise 3"), ("dead", "1"), ("dead", "1")]
    )


@pytest.mark.integration
def test_the_page_shows_how_long_elements_took_in_each_step(tmp_path: Path) -> None:
    page = page_of(tmp_path, *(Message(b"%d" % n) for n in range(20)))
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    times = {row[0]: row[7:9] for row in rows if len(row) == 10}
    duration = re.compile(r"[\d.,e-]+ m?s")
    assert all(duration.fullmatch(text) for step in ("Read", "Check", "Split") for text in times[step])
    assert times["Write long"] == ["", ""], "no elements"


@pytest.mark.integration
def test_secrets_are_hidden_and_everything_else_is_shown(tmp_path: Path) -> None:
    page = page_of(tmp_path, Message(b"1"), password="hunter2", images=str(tmp_path))
    assert "hunter2" not in page
    assert '<td>--password</td><td class="text">(hidden)</td>' in page
    assert "<td>apache-beam</td>" in page
    assert "Checks messages, &lt;b&gt;and&lt;/b&gt; says so." in page
    assert "<figcaption>chart &lt;1&gt;.svg</figcaption>" in page
    assert "The balance closes" in page


def test_an_image_is_shown_once_even_if_it_has_the_time_of_the_file_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(b"PNG")
    os.utime(tmp_path / "made" / "a.png", (0, 0))
    places = [str(tmp_path / "made"), str(tmp_path), f"{tmp_path}/made/*.png"]
    since = (tmp_path / "made" / "a.png").stat().st_ctime
    assert [(image.name, image.data) for image in images_in(places, since)] == [("made/a.png", b"PNG")]
    assert images_in(places, since + 1) == []


@pytest.mark.integration
def test_the_report_of_a_failed_run_has_the_sentence_about_it(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    arguments = [f"--source={put(Message(b'1'))}", f"--dead_letters=sqlite://{tmp_path}?topic=dead"]
    assert reported.run([*arguments, f"--report={page}"]) == 0, "without a dead letter its queue is not opened"
    arguments[0] = f"--source={put(Message(b'1', key=b'0'))}"
    assert reported.run([*arguments, f"--report={page}"]) == 1
    assert f'<p class="bad">the database {tmp_path} is a folder, not a file; ' in page.read_text()


@pytest.mark.integration
@pytest.mark.parametrize("dead_letters", ["q.db", ""], ids=["a good run", "a failed run"])
def test_a_report_that_can_not_be_written_is_a_sentence(
    tmp_path: Path, dead_letters: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / f"{'long' * 62}.html"  # The temporary file's name is too long for the file system.
    queues = [f"--source={put(Message(b'1', key=b'0'))}", f"--dead_letters=sqlite://{tmp_path}/{dead_letters}?topic=d"]
    assert reported.run([*queues, f"--report={page}"]) == 1
    shown = capsys.readouterr()
    assert ("balance: in = out" in shown.out) == bool(dead_letters)
    lines = shown.err.splitlines()
    assert lines[0] == f"the report can't be written to {page}: File name too long; name another file"
    assert [line.partition(" is ")[0] for line in lines[1:]] == ([] if dead_letters else [f"the database {tmp_path}"])


def test_a_report_never_replaces_anything_but_a_regular_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "device")
    assert reported.run([f"--source={put()}", "--dead_letters=memory://dead", f"--report={tmp_path}/device"]) == 1
    sentence = f"the report can't be written to '{tmp_path}/device', which is not a regular file; name another file"
    assert capsys.readouterr().err == f"{sentence}\n"
    assert (tmp_path / "device").is_fifo()
    with pytest.raises(ValueError, match=r"'/nowhere/r\.html' can't be written"):
        run_pipeline(beam.Pipeline(), report="/nowhere/r.html")


# --- the flow


def graph(p: beam.Pipeline) -> None:
    """Builds the reported pipeline."""
    options = reported.ReportedOptions(source=put(Message(b"1")), dead_letters="memory://dead")
    reported.build(p, options)


def test_a_flow_has_a_node_per_pattern_and_edges_with_names() -> None:
    p = beam.Pipeline("FnApiRunner")
    graph(p)
    flow = Flow.of(p)
    assert [node.label for node in flow.nodes] == [
        "Read",
        "Check",
        "Split",
        "Write long",
        "Write otherwise",
        "Dead/DeadLetters",
        "Dead/Park",
        "Commit",
    ]
    assert {(e.source, e.target, e.name, e.kind) for e in flow.edges} == {
        ("Read", "Check", "", DATA),
        ("Check", "Split", "", DATA),
        ("Split", "Write long", "long", DATA),
        ("Split", "Write otherwise", "otherwise", DATA),
        ("Read", "Dead/DeadLetters", "", DEAD),
        ("Check", "Dead/DeadLetters", "", DEAD),
        ("Dead/DeadLetters", "Dead/Park", "", DEAD),
        *((source, "Commit", "", CONTROL) for source in ("Read", "Write long", "Write otherwise", "Dead/Park")),
    }


def test_failures_of_a_pattern_lead_to_the_dead_letters_in_red_whatever_their_output_is_named() -> None:
    p = beam.Pipeline("FnApiRunner")
    with ErrorHandler("Dead" >> DeadLetters()) as dead:
        parts = p | beam.Create(["a"]) | "Work" >> WorkQueue(str).with_error_handler(dead)
        _ = {"one": parts} | "Join" >> Join(key=len).with_error_handler(dead)
    edges = {(e.source, e.target, e.kind) for e in Flow.of(p).edges}
    assert edges >= {("Work", "Dead", DEAD), ("Join", "Dead", DEAD), ("Work", "Join", DATA)}


def test_edges_pass_through_flattens_and_keep_their_counts() -> None:
    p = beam.Pipeline("FnApiRunner")
    one, two = (p | label >> beam.Create(range(n)) for label, n in {"One": 1, "Two": 2}.items())
    inner = (one, two) | "Inner" >> beam.Flatten()
    _ = (inner, one) | "Outer" >> beam.Flatten() | "Keep" >> beam.Map(abs)
    result = p.run()
    flow = Flow.of(p, counts_of(result))
    assert [node.label for node in flow.nodes] == ["One", "Two", "Keep"]
    assert flow.edges == (Edge("One", "Keep", "", DATA, 1), Edge("Two", "Keep", "", DATA, 2))


def test_edges_are_counted_on_every_runner(pipeline: Any) -> None:
    p = pipeline()
    options = reported.ReportedOptions(
        source=put(Message(b"long one"), *(Message(b"%d" % n) for n in range(3)), Message(b"", key=b"1")),
        dead_letters="memory://dead",
    )
    reported.build(p, options)
    result = p.run()
    result.wait_until_finish()
    counted = {
        (e.source, e.name or e.kind): e.elements for e in Flow.of(p, counts_of(result)).edges if e.kind != CONTROL
    }
    assert counted == {
        ("Read", DATA): 5,
        ("Read", DEAD): 0,
        ("Check", DATA): 4,
        ("Check", DEAD): 1,
        ("Split", "long"): 1,
        ("Split", "otherwise"): 3,
        ("Dead/DeadLetters", DEAD): 1,
    }


def test_steps_are_to_the_right_of_the_steps_that_lead_to_them_and_do_not_overlap() -> None:
    p = beam.Pipeline("FnApiRunner")
    graph(p)
    flow = Flow.of(p)
    layout = Layout.of(flow)
    boxes = {box.label: box for box in layout.boxes}
    assert all(boxes[e.source].x < boxes[e.target].x for e in flow.edges)
    for one in layout.boxes:
        assert one.x >= 0 and one.y >= 0 and one.x + one.width <= layout.width and one.y + one.height <= layout.height
        for other in layout.boxes:
            apart = one is other or one.x != other.x or abs(one.y - other.y) >= one.height
            assert apart, (one, other)


def test_long_edges_of_one_kind_to_one_step_share_a_line_with_failures_drawn_over_empty_edges() -> None:
    nodes = tuple(Node(label, "K") for label in ("a", "b", "c", "dead"))
    dead = (Edge("a", "dead", "", DEAD, 0), Edge("b", "dead", "", DEAD, 7), Edge("c", "dead", "", DEAD, 0))
    layout = Layout.of(Flow(nodes, (Edge("a", "b", "", DATA, 9), Edge("b", "c", "", DATA, 2), *dead)))
    assert Counter((line.kind, line.ends) for line in layout.lines) == {
        ("data", True): 2,  # Between the steps.
        ("none", False): 2,  # From a to the bend below b, and on to the bend below c.
        ("dead", False): 1,  # From b to the bend below c.
        ("dead", True): 1,  # From there to the dead letters, for a and b.
        ("none", True): 1,  # From c.
    }
    assert [line.kind for line in layout.lines[:2]] == ["none", "none"]
    assert [(label.text, label.kind) for label in layout.labels] == [("9", DATA), ("2", DATA), ("7", DEAD)]


def test_markup_in_labels_is_harmless_in_mermaid() -> None:
    flow = Flow((Node('a "<b>"', "K"), Node("b", "K")), (Edge('a "<b>"', "b", 'say "x"', DATA),))
    assert outline.mermaid(flow).splitlines() == [
        "flowchart LR",
        '    s0["a #quot;#lt;b#gt;#quot;<br/>K"]',
        '    s1["b<br/>K"]',
        '    s0 -->|"say #quot;x#quot;"| s1',
    ]


# --- show


@pytest.mark.integration
def test_show_draws_a_pipeline_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = show(new_user_signup, [])
    assert drawn.startswith("ReadSignups\n├── --> CheckSignups (Map)\n")
    assert "flowchart LR\n" in drawn
    assert list(tmp_path.iterdir()) == []
    assert not Path("/data").exists()


def test_show_is_a_command_and_suggests_a_name_for_an_unknown_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["show", "replay_dead_letters", "--limit=3"]) == 0
    assert capsys.readouterr().out.startswith("ReadLetters\n")
    assert command_line.main(["show", "replay_dead_leters"]) == 2
    assert "did you mean replay_dead_letters?" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(command_line.pipelines()) - {"work_queue"}))
def test_every_pipeline_can_be_shown_from_its_examples(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["show", name]) == 0
    assert list(tmp_path.iterdir()) == []
