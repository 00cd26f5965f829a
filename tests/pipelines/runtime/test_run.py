"""What a run shows, and how it ends."""

import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics
from rich.console import Console

from beam_patterns.pipelines.runtime.counts import Counts, DirectRunner
from beam_patterns.pipelines.runtime.failures import sentence
from beam_patterns.pipelines.runtime.progress import Busy, Pace, watched
from beam_patterns.transforms import ElementError, WorkQueue
from beam_patterns.transforms.balance import PROGRESS, READ, TO_READ
from beam_patterns.transforms.queues import Message, QueueError, ReadFromQueue, open_queue
from tests import ROOT
from tests.servers import prism, wait_until

from . import toy


def test_a_good_run_shows_its_balance_and_where_results_lie(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = toy.arguments()
    assert toy.run(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows == [
        ["step", "in", "out", "dropped", "dead", "duplicates", "of", "which"],
        ["Read", "6"],
        ["Work", "6", "6"],
        ["Even", "6", "3", "3"],
        ["Write", "3", "3"],
        ["balance:", "in", "=", "out", "+", "dropped", "+", "dead", "+", "duplicates", "at", "every", "step"],
        ["even", "numbers", arguments[1].removeprefix("--sink=")],
    ]
    queue = open_queue(f"{arguments[1].removeprefix('--sink=')}?group=look")
    assert [message.value for split in queue.splits() for batch in queue.read(split) for message in batch] == [
        b"0",
        b"2",
        b"4",
    ]


def test_a_run_has_its_balance_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    run = toy.run(toy.arguments())
    assert (run, run.balance.closes) == (0, True)
    assert [(step.label, step.came, step.out, step.dropped) for step in run.balance.steps] == [
        ("Read", None, 6, 0),
        ("Work", 6, 6, 0),
        ("Even", 6, 3, 3),
        ("Write", 3, 3, 0),
    ]
    lost = toy.run(toy.arguments(mood="loses"))
    assert (lost, [step.label for step in lost.balance.steps if step.missing]) == (1, ["Work"])
    assert toy.run(["--source=memory://a"]).balance.steps == ()


def test_nothing_new_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = toy.arguments(count=0)
    assert toy.run(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"nothing new in {arguments[0].removeprefix('--source=')}"


def test_a_pipeline_may_find_that_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.arguments(mood="idle")) == 0
    assert capsys.readouterr().out == ""


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.arguments(quiet="true")) == 0
    assert toy.run(toy.arguments(count=0, quiet="true")) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("queue", "the broker nowhere:9 does not answer; is it running?"),
        ("value", "the setting x is 3; take 4"),
        ("predicate", "Even: the predicate"),
        ("bug", "KeyError: 'oops'"),
    ],
)
@pytest.mark.parametrize("runner", ["DirectRunner", pytest.param("Prism", marks=pytest.mark.integration)])
def test_a_failure_is_one_sentence_and_exit_code_1(
    mood: str, said: str, runner: str, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    arguments = toy.arguments(mood=mood)
    if runner == "Prism":
        endpoint = request.getfixturevalue("prism_endpoint")
        arguments += ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
    assert toy.run(arguments) == 1
    shown = capfd.readouterr()
    assert "Traceback" not in shown.err + shown.out
    assert shown.err.splitlines()[-1].startswith(said)
    assert len([line for line in shown.err.splitlines() if not line.startswith("WARNING")]) == 1


def test_the_trace_is_there_for_those_who_want_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.arguments(mood="bug", traceback="true")) == 1
    assert 'raise KeyError("oops")' in capfd.readouterr().err


def test_a_balance_that_does_not_close_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.arguments(mood="loses")) == 1
    shown = capsys.readouterr()
    assert "balance: open" in shown.out.splitlines()
    assert shown.err.splitlines() == [
        "the balance does not close at Work: 1 of 6 that went in are missing (5 out, 0 dropped, 0 dead, 0 duplicates)"
    ]


def test_wrong_options_are_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(["--source=memory://a"]) == 2
    assert toy.run([*toy.arguments(), "--moode=x"]) == 2
    assert toy.run([*toy.arguments(), "--streaming"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "missing --sink; write, for example, --sink memory://b",
        "unknown parameter --moode; did you mean --mood?",
        "--streaming: the DirectRunner reads what is there and ends; use --runner PrismRunner, FlinkRunner or "
        "DataflowRunner for a run without end",
    ]


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ("NoRunner", "--runner: Unexpected pipeline runner: NoRunner. Valid values are DataflowRunner, "),
        ("my.Runner", "--runner: No module named 'my'"),
    ],
)
def test_an_unknown_runner_starts_nothing(runner: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.arguments(runner=runner)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def rows_on_prism(**how: object) -> list[list[str]]:
    """What a good run of the toy shows, word by word."""
    run_toy = f"sys.exit(toy.run([*toy.arguments(**{how}), *sys.argv[1:]]))"
    code = f"import sys; from tests.pipelines.runtime import toy; {run_toy}"
    command = [sys.executable, "-c", code, "--runner=PrismRunner", f"--prism_location={prism.build()}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return [line.split() for line in run.stdout.splitlines()]


@pytest.mark.integration
def test_the_same_command_runs_on_prism() -> None:
    assert ["Even", "6", "3", "3"] in rows_on_prism()


@pytest.mark.integration
def test_what_prism_forgets_to_count_is_in_the_balance_all_the_same() -> None:
    """Prism reports no final counters of a bundle that takes several seconds: here of every step after Read."""
    rows = rows_on_prism(count=240, mood="grouped")
    for row in (["Read", "240"], ["Work", "240", "240"], ["Even", "240", "120", "120"], ["Write", "120", "120"]):
        assert row in rows
    assert ["balance:", "in", "=", "out", "+", "dropped", "+", "dead", "+", "duplicates", "at", "every", "step"] in rows


@pytest.mark.integration
@pytest.mark.parametrize("runner", ["DirectRunner", pytest.param("PrismRunner", marks=pytest.mark.integration)])
def test_ctrl_c_ends_a_run_with_its_balance_so_far_and_one_sentence(tmp_path: Path, runner: str) -> None:
    run_toy = "sys.exit(toy.run(toy.arguments(count=2000) + sys.argv[1:]))"
    code = f"import sys; from tests.pipelines.runtime import toy; {run_toy}"
    command = [sys.executable, "-c", code, f"--mood=slow {tmp_path / 'started'}", f"--sink={tmp_path}/out/even.jsonl"]
    command += [f"--runner={runner}", *([f"--prism_location={prism.build()}"] if runner == "PrismRunner" else [])]
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "started").exists() or process.poll() is not None, "the work")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    so_far = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert so_far["Read"] == ["2,000"]
    assert int(so_far["Work"][0]) < 2000
    assert err.splitlines()[-1] == "interrupted; what was not committed is read again by the next run"
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."] == [], "nothing half-written"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (QueueError("no broker [while running 'Read/Fetch']"), "no broker"),
        (RuntimeError("Traceback ...\n  File x\nValueError: bad y [while running 'A']\n"), "bad y"),
        (RuntimeError("a\nmodule.QueueError: first\n\nThe above ...\nRuntimeError: second"), "first"),
        (RuntimeError("a\nKeyError: 'x'\n\nDuring ...\nKeyError: \"x [while running 'A']\""), "KeyError: 'x'"),
        (RuntimeError("boom"), "RuntimeError: boom"),
        (KeyError(), "KeyError: no message"),
    ],
)
def test_the_sentence_is_dug_out_of_what_runners_wrap_it_in(error: Exception, said: str) -> None:
    assert sentence(error) == said


def test_the_first_cause_that_is_ours_is_told() -> None:
    try:
        try:
            try:
                raise ZeroDivisionError("by zero")
            except ZeroDivisionError as error:
                raise ElementError("Filter: the predicate raised") from error
        except ElementError as error:
            raise RuntimeError("bundle failed") from error
    except RuntimeError as error:
        assert sentence(error) == "Filter: the predicate raised"


def test_the_pace_shows_who_is_at_work_and_forgets_who_is_not() -> None:
    times = iter([0.0, 1.0, 2.0, 6.0])
    pace = Pace(clock=times.__next__)
    read, work = ("Read/Fetch", "ReadFromQueue", "out"), ("Work/Do", "WorkQueue", "in")
    assert pace.busy(Counter({read: 100})) == [Busy("Read", 100, 100.0)]
    assert pace.busy(Counter({read: 100, work: 10})) == [Busy("Read", 100, 100.0), Busy("Work", 10, 10.0)]
    assert pace.busy(Counter({read: 100, work: 50})) == [Busy("Work", 50, 10.0)]


def test_the_pace_tells_how_long_the_rest_takes_where_it_is_known_how_much_there_is() -> None:
    times = iter([0.0, 10.0, 20.0])
    pace = Pace(clock=times.__next__)
    to_read, read = (("Read/Plan", PROGRESS, TO_READ), ("Read/Fetch", PROGRESS, READ))
    half = Counter({("Read/Fetch", "ReadFromQueue", "out"): 300, to_read: 400, read: 100, ("Work/Do", "Work", "in"): 5})
    assert [str(busy) for busy in pace.busy(half)] == ["Read 300 (30/s, 25 %, 0:30 left)", "Work 5 (0.5/s)"]
    # Nothing has moved for longer than a step is shown, but there is more to do.
    assert [str(busy) for busy in pace.busy(half, {"Work": 3605})][1:] == ["Work 5 (0.5/s, 0 %, 2:00:00 left)"]


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_offsets_and_files_to_read_are_known_when_a_run_begins(tmp_path: Path, kind: str) -> None:
    sizes = [len(b"0\n") * 10, len(b"0\n") * 30]
    if kind == "file":
        for number, size in enumerate(sizes):
            (tmp_path / f"{number}.jsonl").write_bytes(b"0\n" * (size // 2))
        uri, units = f"{tmp_path}/*.jsonl", sum(sizes)
    else:
        uri, units = f"sqlite://{tmp_path}/q.db?topic=a&group=g", 40
        writer = open_queue(uri).writer()
        writer.write([Message(b"0")] * units)
        writer.flush()
    counts = Counts()
    with beam.Pipeline(DirectRunner(counts)) as p:
        _ = p | "Read" >> ReadFromQueue(uri) | "Items" >> beam.Map(bool) | "Work" >> WorkQueue(bool).with_workers(1)
    found = {
        (step.partition("/")[0], name): n
        for (step, namespace, name), n in counts.now().items()
        if namespace == PROGRESS
    }
    assert found == {("Read", TO_READ): units, ("Read", READ): units}
    assert counts.entered()["Work"] == 40


class _Half(Counts):
    """A run that is half done."""

    def __init__(self) -> None:
        super().__init__()
        self.stages, self.stages_done, self._items = 10, 5, 0

    def now(self) -> Counter:
        self._items += 1000
        return Counter({("Email/Send", "Deliver", "in"): self._items})

    def entered(self) -> dict[str, int]:
        return {"Email": 1_000_000}


@pytest.mark.integration
def test_a_terminal_shows_stages_and_busy_steps_while_the_run_goes_on() -> None:
    screen = io.StringIO()
    with watched(Console(file=screen, force_terminal=True, width=100), _Half()):
        deadline = time.monotonic() + 10
        while "Email" not in screen.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "5/10" in screen.getvalue()
    assert re.search(r"Email.* ━.* %.* left", re.sub("\x1b\\[[0-9;]*m", "", screen.getvalue()))


def test_other_outputs_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_patterns.pipelines.runtime.progress._PLAIN_TICK", 0.05)
    screen = io.StringIO()
    with watched(Console(file=screen), _Half()):
        deadline = time.monotonic() + 10
        while screen.getvalue().count("\n") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert screen.getvalue().splitlines()[0].startswith("Email 1,000 (")
    assert "\x1b" not in screen.getvalue()


@pytest.mark.integration
def test_live_counters_of_the_direct_runner_are_seen_while_it_runs() -> None:
    counts, seen, over = Counts(), [], threading.Event()
    watcher = threading.Thread(target=_look, args=(counts, seen, over))
    watcher.start()
    pipeline = beam.Pipeline(DirectRunner(counts))
    _ = pipeline | beam.Create(range(50)) | "Work" >> beam.ParDo(_Slow())
    pipeline.run()
    over.set()
    watcher.join()
    assert counts.now() == Counter({("Work", "Slow", "in"): 50})
    assert any(0 < look < 50 for look in seen)
    assert seen == sorted(seen)


def _look(counts: Counts, seen: list[int], over: threading.Event) -> None:
    while not over.wait(0.02):
        seen.append(counts.now()["Work", "Slow", "in"])


class _Slow(beam.DoFn):
    def __init__(self) -> None:
        self._in = Metrics.counter("Slow", "in")

    def process(self, element: int) -> Iterator[int]:
        self._in.inc()
        time.sleep(0.02)
        yield element
