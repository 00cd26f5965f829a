"""WorkQueue with work that succeeds, fails, hangs and crashes."""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type
from tenacity import wait_fixed

from beam_patterns.testing import Outputs, run_pattern
from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import MESSAGE_ID, Message, WriteToQueue, open_queue
from beam_patterns.transforms.work import Command, DoneMarkers, PermanentError
from beam_patterns.transforms.work.step import RetryPolicy
from tests import working
from tests.servers import wait_until

pytestmark = pytest.mark.usefixtures("fork_server")
SOON = wait_fixed(0.01)
Make = Callable[..., beam.Pipeline]


def on_fnapi() -> beam.Pipeline:
    """A pipeline that runs in this process."""
    return beam.Pipeline("FnApiRunner")


def run_of(items: list[Any], work: WorkQueue, make: Make = on_fnapi) -> Outputs:
    """The run of a pipeline with one work queue."""
    return run_pattern(work, items, make)


def counters(run: Outputs) -> dict[str, int]:
    """The counters of WorkQueue that are not 0."""
    return {name: value for (namespace, name), value in run.counters.items() if namespace == "WorkQueue" and value}


def test_each_result_arrives_once_and_the_balance_closes(pipeline: Make) -> None:
    run = run_of(list(range(50)), WorkQueue(working.times_ten).with_workers(2), pipeline)
    assert sorted(run["out"]) == [n * 10 for n in range(50)]
    assert counters(run) == {"in": 50, "out": 50, "results": 50}


def test_results_and_dead_letters_reach_a_step_that_takes_batches(pipeline: Make) -> None:
    topics = [f"memory://{uuid4()}" for _ in range(2)]
    with pipeline() as p, ErrorHandler("Park" >> WriteToQueue(topics[1])) as dead:
        numbers = p | beam.Create(range(40))
        work = WorkQueue(working.sometimes_misbehaves, attempts=1, timeout=4).with_workers(2)
        _ = numbers | work.with_error_handler(dead) | WriteToQueue(topics[0])
    results, letters = ([m.value for s in q.splits() for b in q.read(s) for m in b] for q in map(open_queue, topics))
    assert sorted(map(int, results)) == [n * 10 for n in range(40) if n % 10 != 3]
    assert len(letters) == 4


def test_the_work_runs_in_other_processes() -> None:
    run = run_of(list(range(40)), WorkQueue(working.process_id).with_workers(2))
    assert os.getpid() not in run["out"]


def test_a_generator_has_as_many_results_as_it_yields(pipeline: Make) -> None:
    run = run_of(["abc", "", "d"], WorkQueue(working.letters).with_workers(1), pipeline)
    assert sorted(run["out"]) == ["a", "b", "c", "d"]
    assert counters(run) == {"in": 3, "out": 3, "results": 4}


@pytest.mark.integration
def test_20_of_200_items_misbehave_and_the_other_180_arrive(pipeline: Make) -> None:
    work = WorkQueue(working.sometimes_misbehaves, attempts=2, timeout=5).with_workers(2).with_retry(wait=SOON)
    run = run_of(list(range(200)), work, pipeline)
    bad = [n for n in range(200) if n % 10 == 3]
    assert sorted(run["out"]) == [n * 10 for n in range(200) if n not in bad]
    reasons = {
        "refuses": ("ValueError", "not "),
        "quits": ("WorkerCrashedError", "exit code 7"),
        "segfaults": ("WorkerCrashedError", "SIGSEGV"),
        "eats_memory": ("MemoryError", ""),
        "hangs": ("TimeoutError", "no result within 5 s"),
        "hangs_in_c": ("TimeoutError", "no result within 5 s"),
        "leaves_children": ("TimeoutError", "no result within 5 s"),
    }
    expected = Counter(reasons[working.MISBEHAVIOURS[n // 10 % 7].__name__] for n in bad)
    found = Counter(
        next((kind, text) for kind, text in reasons.values() if kind == d.error_type and text in d.error_message)
        for d in run.dead
    )
    assert found == expected
    assert {letter.attempts for letter in run.dead} == {2}
    assert counters(run) == {"in": 200, "out": 180, "results": 180, "dead": 20, "retried": 20}
    assert all(letter.first_failed_at < letter.last_failed_at for letter in run.dead)
    wait_until(lambda: not working.leftover_processes(), "the end of all processes")


@pytest.mark.integration
def test_no_process_outlives_the_run() -> None:
    run = run_of([1, 2], WorkQueue(working.leaves_children, attempts=1, timeout=1).with_workers(2))
    assert [letter.error_type for letter in run.dead] == ["TimeoutError", "TimeoutError"]
    assert working.leftover_processes() == []


def test_an_item_that_succeeds_on_the_third_attempt_has_a_result(tmp_path: Path, pipeline: Make) -> None:
    work = WorkQueue(working.fails_twice).with_workers(1).with_retry(wait=SOON)
    run = run_of([str(tmp_path / "attempts")], work, pipeline)
    assert run["out"] == [3]
    assert counters(run) == {"in": 1, "out": 1, "results": 1, "retried": 2}


def test_an_error_that_is_not_worth_a_retry_is_not_tried_again() -> None:
    run = run_of([1], WorkQueue(working.refuses).with_workers(1).with_retry(OSError))
    (letter,) = run.dead
    assert (letter.attempts, letter.error_type, letter.error_message) == (1, "ValueError", "not 1")


def cannot_decide(error: BaseException) -> bool:
    """Raises an error instead of deciding about a retry."""
    raise LookupError("no such error code")


def test_an_error_in_the_function_for_retries_becomes_the_items_dead_letter() -> None:
    (letter,) = run_of([1], WorkQueue(working.refuses).with_workers(1).with_retry(cannot_decide)).dead
    assert (letter.attempts, letter.error_type) == (1, "LookupError")
    assert letter.error_message == (
        "no such error code; raised by the function of with_retry(...), called with ValueError('not 1')"
    )


def hopeless(_: int) -> None:
    """Fails in a way that no retry can fix."""
    raise PermanentError("this customer does not exist")


def test_a_permanent_error_is_not_tried_again() -> None:
    (letter,) = run_of([1], WorkQueue(hopeless).with_workers(1)).dead
    assert (letter.attempts, letter.error_message) == (1, "this customer does not exist")


def test_the_pause_before_a_retry_doubles_up_to_a_minute_and_is_random() -> None:
    policy = RetryPolicy(9, lambda error: True, wait=None)
    for attempt, most in ((1, 1), (2, 2), (3, 4), (6, 32), (9, 60)):
        pauses = [policy.pause(attempt) for _ in range(200)]
        assert 0 <= min(pauses) < most / 2 < max(pauses) <= most
        assert len(set(pauses)) == 200


def slow_once(path: str) -> str:
    """Fails on the first attempt at an item with a path."""
    if path and not Path(path).exists():
        Path(path).touch()
        raise ConnectionError("not yet")
    return path or "other"


@pytest.mark.integration
def test_workers_do_other_items_while_one_waits_for_its_retry(tmp_path: Path) -> None:
    first = str(tmp_path / "first")
    run = run_of([first, *[""] * 20], WorkQueue(slow_once).with_workers(1).with_retry(wait=wait_fixed(2)))
    assert run["out"] == [*["other"] * 20, first]


def test_a_dead_letter_has_the_label_that_the_user_wrote(pipeline: Make) -> None:
    def flow(p: beam.Pipeline, dead: Any) -> dict[str, beam.PCollection]:
        check = "Check" >> WorkQueue(working.refuses, attempts=1).with_workers(1).with_error_handler(dead)
        return {"results": p | beam.Create([1]) | check}

    assert [letter.step for letter in run_pattern(flow, make=pipeline).dead] == ["Check"]


def test_a_dead_letter_has_the_traceback_of_user_code() -> None:
    (letter,) = run_of([1], WorkQueue(working.refuses, attempts=1).with_workers(1)).dead
    assert "working.py" in letter.traceback
    assert "in refuses" in letter.traceback
    assert "worker_main.py" not in letter.traceback


def test_a_dead_letter_has_the_traceback_of_a_crash() -> None:
    (letter,) = run_of([1], WorkQueue(working.segfaults, attempts=1).with_workers(1)).dead
    assert "in segfaults" in letter.traceback


@pytest.mark.integration
def test_failures_of_one_kind_have_one_fingerprint() -> None:
    run = run_of([1, 2], WorkQueue(working.refuses, attempts=1).with_workers(1))
    crashes = run_of([1, 2], WorkQueue(working.quits, attempts=1).with_workers(1))
    assert len({letter.fingerprint for letter in run.dead}) == 1
    assert len({letter.fingerprint for letter in crashes.dead}) == 1
    assert run.dead[0].fingerprint != crashes.dead[0].fingerprint


def test_without_a_handler_the_error_of_the_run_has_the_traceback_of_the_worker_process(pipeline: Make) -> None:
    failed = (
        r"Check: refuses failed on attempt 1 of 1 with ValueError: not 5, on 5. Add .with_error_handler\(...\) to send "
        r"such items to a dead-letter queue. In the worker process:\n  File \".*working.py\", line \d+, in refuses"
    )
    with pytest.raises(Exception, match=failed), pipeline() as p:
        _ = p | beam.Create([5]) | "Check" >> WorkQueue(working.refuses, attempts=1).with_workers(1)
    assert working.leftover_processes() == []


def test_counters_distributions_and_logs_of_the_work_reach_the_beam_worker(
    caplog: pytest.LogCaptureFixture, pipeline: Make
) -> None:
    with caplog.at_level(logging.WARNING):
        run = run_of([1, 2, 3], WorkQueue(working.counted_and_logged).with_workers(2), pipeline)
    assert run.counters["mine", "items"] == 6
    assert sorted(r.getMessage() for r in caplog.records if r.name == "mine") == ["number 1", "number 2", "number 3"]


def logs_with_wrong_arguments(number: int) -> int:
    """Logs a text where its message needs a number."""
    logging.getLogger("mine").warning("number %d", "one")
    return number


@pytest.mark.integration
def test_a_logging_call_with_wrong_arguments_does_not_fail_the_item() -> None:
    assert run_of([1], WorkQueue(logs_with_wrong_arguments).with_workers(1))["out"] == [1]


MESSAGE = Message(b"to be or", source=("plays", 0, 7))


@pytest.mark.integration
def test_messages_from_a_message_have_the_same_ids_in_every_run() -> None:
    once, again = (run_of([MESSAGE], WorkQueue(working.words).with_workers(1))["out"] for _ in range(2))
    assert sorted(once) == sorted(again)
    base = MESSAGE.with_id().attribute(MESSAGE_ID)
    assert base is not None
    assert sorted(m.attribute(MESSAGE_ID) or b"" for m in once) == [base + b"/%d" % index for index in range(3)]


@pytest.mark.integration
def test_results_keep_their_items_timestamp_and_window(pipeline: Make) -> None:
    with pipeline() as p:
        stamped = p | beam.Create([TimestampedValue(n, n) for n in range(30)]) | beam.WindowInto(FixedWindows(10))
        results = stamped | WorkQueue(working.times_ten).with_workers(2)
        per_window = results | beam.combiners.Count.Globally().without_defaults()
        placed = results | "Place" >> beam.Map(_placed)
        assert_that(placed, equal_to([(n * 10, float(n), n // 10 * 10.0) for n in range(30)]))
        assert_that(per_window, equal_to([10, 10, 10]), label="per window")


def _placed(result: int, at: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
    return result, float(at), float(window.start)


def append_mark(path: str) -> str:
    """Appends a character to the file, to count the calls."""
    with Path(path).open("a") as output:
        output.write("x")
    return path


def is_there(path: str) -> bool:
    """A done check that looks for the output."""
    return Path(path).exists()


@pytest.mark.integration
def test_items_already_done_are_skipped_and_counted_unless_forced(tmp_path: Path, pipeline: Make) -> None:
    paths = [str(tmp_path / name) for name in ("a", "b")]
    Path(paths[0]).write_text("x")
    work = WorkQueue(append_mark).with_workers(1)
    run = run_of(paths, work.with_done_check(is_there), pipeline)
    assert run["out"] == [paths[1]]
    assert counters(run) == {"in": 2, "out": 1, "results": 1, "dropped": 1, "skipped": 1}
    forced = run_of(paths, work.with_done_check(is_there, force=True), pipeline)
    assert sorted(forced["out"]) == paths
    assert [Path(path).read_text() for path in paths] == ["xx", "xx"]


@pytest.mark.integration
def test_markers_are_set_by_success_and_not_by_failure(tmp_path: Path) -> None:
    done = DoneMarkers(tmp_path / "done")
    run_of([1], WorkQueue(working.refuses, attempts=1).with_workers(1).with_done_check(done))
    assert not done(1)
    run_of([1], WorkQueue(working.times_ten).with_workers(1).with_done_check(done))
    assert done(1)
    assert counters(run_of([1, 2], WorkQueue(working.times_ten).with_workers(1).with_done_check(done)))["skipped"] == 1


def failing_check(_: int) -> bool:
    """A done check that raises an error."""
    raise OSError("no such folder")


def test_a_done_check_that_fails_fails_the_item() -> None:
    work = WorkQueue(working.times_ten, attempts=1).with_workers(1).with_done_check(failing_check)
    assert [letter.error_message for letter in run_of([1], work).dead] == ["no such folder"]


class Cut(NamedTuple):
    """A row."""

    file: str
    seconds: float


def as_row(n: int) -> Cut:
    """Returns a row."""
    return Cut(f"{n}.mp4", n / 2)


def as_bytes(n: int) -> bytes:
    """Returns bytes that are not text."""
    return bytes([n, 255])


def as_path(n: int) -> Path:
    """Returns the path of a file that the work wrote."""
    return Path("/made", str(n))


@pytest.mark.integration
def test_results_may_be_rows_bytes_and_paths(pipeline: Make) -> None:
    def flow(p: beam.Pipeline, dead: Any) -> dict[str, beam.PCollection]:
        numbers = p | beam.Create([1, 2])
        made = {work.__name__: numbers | work.__name__ >> WorkQueue(work) for work in (as_row, as_bytes, as_path)}
        return made | {"selected": made["as_row"] | beam.Select("seconds")}

    run = run_pattern(flow, make=pipeline)
    for work in (as_row, as_bytes, as_path):
        assert sorted(run[work.__name__]) == [work(1), work(2)]
        assert {type(result) for result in run[work.__name__]} == {type(work(1))}
    assert sorted(row.seconds for row in run["selected"]) == [0.5, 1.0]


def unpicklable(_: int) -> Any:
    """Returns an object that can't be pickled."""
    return socket.socket()


def test_a_result_that_cannot_be_pickled_is_a_failure_of_its_item() -> None:
    (letter,) = run_of([1], WorkQueue(unpicklable, attempts=1).with_workers(1)).dead
    assert letter.error_type == "TypeError"
    assert "pickle" in letter.error_message


def test_functions_that_have_no_module_are_pickled_by_value() -> None:
    factor = 3
    assert sorted(run_of([1, 2], WorkQueue(lambda n: n * factor).with_workers(1))["out"]) == [3, 6]


@pytest.mark.parametrize(
    ("work", "element_type"),
    [(working.times_ten, int), (working.letters, str), (Command(["true"]), bytes), (lambda n: n, Any)],
)
def test_the_result_has_the_type_that_the_work_declares(work: Any, element_type: Any) -> None:
    p = beam.Pipeline("FnApiRunner")
    results = p | beam.Create([1]) | WorkQueue(work)
    assert results.element_type == convert_to_beam_type(element_type)


def test_labels_are_written_by_hand() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1]) | "Mail" >> WorkQueue(lambda n: n)
    labels = {t.unique_name for t in p.to_runner_api().components.transforms.values()}
    assert {"Mail/Spread", "Mail/Work"} <= labels


NUMBERS = beam.Pipeline("FnApiRunner") | beam.Create([1])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WorkQueue("ffmpeg"), r"takes a function of one item, not 'ffmpeg'"),
        (lambda: WorkQueue(len, attempts=0), r"attempts=0\): give the number of attempts, 1 or more"),
        (lambda: WorkQueue(len, timeout=0), r"timeout=0\): give seconds above 0, or None for no timeout"),
        (lambda: WorkQueue(len).with_workers(0), r"with_workers\(0\): give the number of processes"),
        (lambda: WorkQueue(len).with_retry(wait=3), r"wait=3\): give a wait strategy of tenacity"),
        (lambda: WorkQueue(len).with_retry("OSError"), r"with_retry\('OSError'\): give a class of exceptions"),
        (lambda: WorkQueue(len).with_done_check("x"), r"with_done_check takes a function of one item, not 'x'"),
        (lambda: WorkQueue(socket.socket().send), r"can't be sent to a worker process"),
        (lambda: (NUMBERS, NUMBERS) | WorkQueue(len), r"WorkQueue takes one PCollection"),
    ],
)
def test_wrong_use_fails_at_construction(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()
