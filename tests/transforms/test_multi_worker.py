"""MultiWorker: several workers as one."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_fixed

from beam_patterns.transforms import MultiWorker, WorkQueue
from beam_patterns.transforms.work import Command

from .test_work_queue import run_of

SOON = wait_fixed(0.01)
pytestmark = pytest.mark.usefixtures("fork_server")


def trace(folder: str, stage: str) -> int:
    """Counts the runs of a stage for the item, in a file, and returns their number."""
    with Path(folder, stage).open("a") as runs:
        runs.write(".")
    return len(Path(folder, stage).read_text())


def detect(folder: str) -> str:
    """The first stage."""
    trace(folder, "detect")
    return folder


def tag(folder: str) -> str:
    """The second stage."""
    trace(folder, "tag")
    return folder


def blur_fails_once(folder: str) -> list[int]:
    """The third stage, which raises an error in its first run."""
    if trace(folder, "blur") == 1:
        raise ConnectionError("the blurring service is away")
    return [len(Path(folder, stage).read_text()) for stage in ("detect", "tag", "blur")]


def blur_crashes_once(folder: str) -> list[int]:
    """The third stage, which crashes in its first run."""
    if trace(folder, "blur") == 1:
        os._exit(3)
    return [len(Path(folder, stage).read_text()) for stage in ("detect", "tag", "blur")]


def blur_hangs_once(folder: str) -> list[int]:
    """The third stage, which hangs in its first run."""
    if trace(folder, "blur") == 1:
        time.sleep(3_600)
    return [len(Path(folder, stage).read_text()) for stage in ("detect", "tag", "blur")]


@pytest.mark.integration
@pytest.mark.parametrize("blur", [blur_fails_once, blur_crashes_once, blur_hangs_once])
def test_a_retry_starts_at_the_failed_stage(blur: Callable[[str], Any], tmp_path: Path) -> None:
    work = WorkQueue(MultiWorker(detect, tag, blur), timeout=5).with_workers(1).with_retry(wait=SOON)
    assert run_of([str(tmp_path)], work)["out"] == [[1, 1, 2]]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("blur", "error_type", "message"),
    [
        (blur_fails_once, "ConnectionError", "the blurring service is away; in stage 'blur'"),
        (blur_crashes_once, "WorkerCrashedError", "the worker process ended with exit code 3; in stage 'blur'"),
        (blur_hangs_once, "TimeoutError", "no result within 4 s; the worker process .* were killed; in stage 'blur'"),
    ],
)
def test_errors_name_the_stage(blur: Callable[[str], Any], error_type: str, message: str, tmp_path: Path) -> None:
    worker = MultiWorker(detect=detect, blur=(blur, "detect"))
    (letter,) = run_of([str(tmp_path)], WorkQueue(worker, attempts=1, timeout=4).with_workers(1)).dead
    assert letter.error_type == error_type
    assert re.fullmatch(message, letter.error_message)


@pytest.mark.integration
def test_stages_are_counted(tmp_path: Path) -> None:
    work = WorkQueue(MultiWorker(detect, tag, blur_fails_once)).with_workers(1).with_retry(wait=SOON)
    run = run_of([str(tmp_path)], work)
    stages = {name: value for (namespace, name), value in run.counters.items() if namespace == "MultiWorker"}
    assert stages == {"detect": 1, "tag": 1, "blur_fails_once": 1}


def test_stages_in_order_are_called_with_the_result_before_them() -> None:
    assert MultiWorker(str.strip, str.upper, len)("  abc ") == 3


def test_stages_by_name_are_called_with_their_inputs_in_order() -> None:
    worker = MultiWorker(
        size=len,
        first=lambda word: word[0],
        text=("{} has {} letters, first {}".format, "item", "size", "first"),
    )
    assert worker("abc") == "abc has 3 letters, first a"


def test_stages_may_be_written_before_their_inputs() -> None:
    ran: list[str] = []
    worker = MultiWorker(
        late=(lambda early: ran.append("late") or early, "early"),
        early=lambda item: ran.append("early") or item,
        last=(lambda late: late + 1, "late"),
    )
    assert worker(1) == 2
    assert ran == ["early", "late"]


def test_a_stage_that_is_not_an_input_runs_too() -> None:
    seen: list[int] = []
    assert MultiWorker(audit=seen.append, result=lambda item: item * 2)(4) == 8
    assert seen == [4]


def thrice(word: str) -> Iterator[str]:
    """Yields several results."""
    yield from [word] * 3


def test_the_last_stage_may_yield_several_results() -> None:
    run = run_of([" a "], WorkQueue(MultiWorker(str.strip, thrice)).with_workers(1))
    assert run["out"] == ["a", "a", "a"]


def test_programs_can_be_stages() -> None:
    worker = MultiWorker(echo=Command(["echo", "-n", "{item}"]), size=(len, "echo"))
    assert worker("abcd") == 4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MultiWorker(), r"takes at least one stage, and all stages either in order or by name"),
        (lambda: MultiWorker(len, size=len), r"all stages either in order or by name"),
        (lambda: MultiWorker("len"), r"a stage is a function of one item, not 'len'"),
        (lambda: MultiWorker(len, len), r"the name 'len' is taken; name the stages"),
        (lambda: MultiWorker(a="x"), r"MultiWorker\(a='x'\): write a function, or \(function,"),
        (lambda: MultiWorker(item=len), r'a stage can\'t be named "item"'),
        (lambda: MultiWorker(a=(len, "b")), r"the input 'b' of a is not a stage; known are item, a"),
        (lambda: MultiWorker(a=(len, "b"), b=(len, "a")), r"stages depend on each other in a cycle: a -> b -> a"),
        (lambda: MultiWorker(a=(len, "a")), r"stages depend on each other in a cycle: a -> a"),
        (lambda: MultiWorker(thrice, len), r"thrice yields several results; only the last stage, len, may"),
    ],
)
def test_wrong_use_fails_at_construction(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()
