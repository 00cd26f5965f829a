"""The work_queue pipeline: programs and services as workers, by options alone."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beam_patterns.pipelines import work_queue
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message, UnreadableError, open_queue
from tests import ROOT
from tests.transforms.queues.http.test_work_queue_source import folder, serving
from tests.transforms.work.test_http import Service, service

pytestmark = pytest.mark.usefixtures("fork_server")
__all__ = ["service"]
_STREAM = ("--streaming", "--runner", "PrismRunner")
ORDERS = [Message.of({"id": n, "name": f"customer {n}"}, key=b"%d" % n) for n in range(6)]


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """URIs of topics in a database for this test, with orders in one of them."""
    topic = f"sqlite://{tmp_path}/queues.db?topic="
    writer = open_queue(topic + "orders").writer()
    writer.write(ORDERS)
    assert not writer.flush()
    writer.close()
    yield lambda name: topic + name


def arguments(queues: Callable[[str], str], *others: str) -> list[str]:
    """A command line."""
    places = ["--input", queues("orders&group=labels"), "--output", queues("labels")]
    return [*places, "--dead_letters", queues("dead"), "--quiet", *others]


def content(uri: str) -> list[Message]:
    """All messages of a queue."""
    queue = open_queue(f"{uri}&group=test")
    batches = [batch for split in queue.splits() for batch in queue.read(split)]
    return [message for batch in batches if not isinstance(batch, UnreadableError) for message in batch]


@pytest.mark.integration
def test_a_program_works_on_every_item_once(queues: Callable[[str], str]) -> None:
    command = ["--command", "echo -n 'to {name}' {id}"]
    assert work_queue.run(arguments(queues, *command)) == 0
    labels = content(queues("labels"))
    assert sorted((m.key, m.value) for m in labels) == [(b"%d" % n, b"to customer %d %d" % (n, n)) for n in range(6)]
    assert len({m.attribute(MESSAGE_ID) for m in labels}) == 6
    assert work_queue.run(arguments(queues, *command)) == 0
    assert content(queues("labels")) == labels


@pytest.mark.integration
def test_a_failed_item_is_a_dead_letter_with_the_programs_error_output(queues: Callable[[str], str]) -> None:
    code = (
        "import json, os, sys; n = json.load(open(os.environ['WORK_ITEM_FILE']))['id']; sys.exit('no' if n == 3 else 0)"
    )
    command = f'{sys.executable} -c "{code}"'
    assert work_queue.run(arguments(queues, "--command", command, "--attempts", "1")) == 0
    (letter,) = map(DeadLetter.from_message, content(queues("dead")))
    assert (letter.payload, letter.step, letter.attempts) == (ORDERS[3].value, "Work", 1)
    assert letter.error_message == f"{Path(sys.executable).name} ended with exit code 1: no"


@pytest.mark.integration
def test_a_service_gets_every_item_with_its_own_idempotency_key(queues: Callable[[str], str], service: Service) -> None:
    assert work_queue.run(arguments(queues, "--url", service.url)) == 0
    assert sorted(m.value or b"" for m in content(queues("labels"))) == [b"done " + (m.value or b"") for m in ORDERS]
    assert len({headers["Idempotency-Key"] for _, headers, _ in service.requests}) == 6


@pytest.mark.integration
def test_finished_items_of_a_work_source_are_skipped_unless_forced(
    queues: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "videos").mkdir()
    with serving(folder(tmp_path / "videos")) as url:
        given = ["--input", url, "--output", queues("sizes"), "--dead_letters", queues("dead"), "--quiet"]
        given += ["--command", "echo {path} {size}", "--done", str(tmp_path / "done")]
        assert work_queue.run(given) == 0
        assert len(content(queues("sizes"))) == 5
        assert work_queue.run(given) == 0
        assert len(content(queues("sizes"))) == 5
        assert work_queue.run([*given, "--force"]) == 0
        assert len(content(queues("sizes"))) == 10


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([], "give either --command 'PROGRAM ARGUMENTS' or --url"),
        (["--command", "true", "--url", "http://h/"], "give either --command"),
        (["--command", "echo {a.b}"], "Command: {a.b} in "),
        (["--command", "echo 'a"], "--command: \"echo 'a\" can't be split into words: No closing quotation"),
        (["--command", " "], "--command: ' ' does not name a program"),
        (
            ["--command", "no-such-program {path}"],
            "--command: program 'no-such-program' not found on this machine; install it",
        ),
        (["--command", "true", "--token_from", "X"], "--url is missing, to which the token is sent; add --url"),
        (["--command", "true", "--force"], "--force: without --done nothing is skipped; leave --force out or add"),
        (["--command", "true", "--workers", "-1"], "--workers: -1 is less than 0; use 0 or more"),
        (["--command", "true", "--attempts", "0"], "attempts=0"),
        (["--url", "http://ann:pw@h/"], "the URL has a user name or password in it"),
        (["--command", "true", "--input", "kafka://h:1/orders"], "names no group, under which positions are kept"),
        (["--command", "true", "--input", "/a/*.csv", "--output", "/a/b.csv"], "--output would be written to /a/b.csv"),
        (["--command", "true", "--output", "http://h/items"], "the queue http://h/items can only be read"),
        (["--command", "true", "--input", "/v/*.mp4", *_STREAM], "--input: /v/*.mp4 can't be followed; use kafka://"),
    ],
)
def test_wrong_options_start_nothing(
    queues: Callable[[str], str], others: list[str], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert work_queue.run(arguments(queues, *others)) == 2
    shown = capfd.readouterr().err
    assert sentence in shown
    assert shown.count("\n") == 1


@pytest.mark.integration
def test_the_file_itself_runs_and_shows_the_balance_and_how_busy_the_workers_were(queues: Callable[[str], str]) -> None:
    given = [argument for argument in arguments(queues, "--command", "cat {item_file}") if argument != "--quiet"]
    command = [sys.executable, "pipelines/work_queue.py", *given, "--workers", "2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "balance: in = out" in ran.stdout
    assert "Work: 2 workers were busy" in ran.stdout
    assert {json.loads(m.value or b"")["id"] for m in content(queues("labels"))} == set(range(6))
