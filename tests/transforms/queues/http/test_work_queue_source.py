"""The interface of a work source, tested with the built-in sources or with your own:

    pytest --work-queue-source http://host:port/api/v1/items

Your source must list at least one item, and its items must not change during the tests.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apache_beam as beam
import httpx
import orjson
import pytest

from beam_patterns.testing import run_pattern
from beam_patterns.transforms.queues import Message, QueueError, ReadFromQueue, WriteToQueue, open_queue
from beam_patterns.transforms.queues.http.server import Folder, QueueItems, Source, server
from tests import ROOT

AWKWARD = ["a.mp4", "with space.mp4", "ünï.mp4", "100%25.mp4", "what?#&.mp4"]


@contextmanager
def serving(source: Source) -> Iterator[str]:
    """Serves the source on a free port; yields its URL."""
    one = server(source)
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{one.server_port}/api/v1/items"
    one.shutdown()
    one.server_close()


def folder(tmp_path: Path) -> Source:
    """Files whose names need percent-encoding."""
    for size, name in enumerate(AWKWARD):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "notes.txt").touch()
    return Folder(f"{tmp_path}/*.mp4")


def queue(tmp_path: Path) -> Source:
    """Messages with JSON, text and bytes."""
    uri = f"sqlite://{tmp_path}/queues.db?topic=orders"
    writer = open_queue(uri).writer()
    writer.write([Message(b'{"order": 1}'), Message(b"plain text"), Message(b"\xff\xfe"), Message(b"[1, 2]")])
    assert not writer.flush()
    writer.close()
    return QueueItems(f"{uri}&group=workers")


@pytest.fixture(params=[folder, queue])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The source under test: the given one, or each built-in one."""
    given = request.config.getoption("--work-queue-source")
    if given:
        if request.param is not folder:
            pytest.skip("the given source is tested once")
        yield given.rstrip("/")
        return
    with serving(request.param(tmp_path)) as url:
        yield url


def on_fnapi() -> beam.Pipeline:
    """A pipeline that runs in this process."""
    return beam.Pipeline("FnApiRunner")


def names(source: str) -> list[str]:
    """The names that the source lists."""
    return httpx.get(source).json()["items"]


def item(source: str, name: str) -> httpx.Response:
    """The response for an item."""
    return httpx.get(f"{source}/{quote(name, safe='')}")


@pytest.mark.integration
def test_the_list_is_an_item_list_of_distinct_names(source: str) -> None:
    answer = httpx.get(source)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    listed = answer.json()
    assert (listed["kind"], listed["apiVersion"]) == ("ItemList", "v1")
    assert listed["items"]
    assert all(isinstance(name, str) and name for name in listed["items"])
    assert len(set(listed["items"])) == len(listed["items"])


@pytest.mark.integration
def test_every_listed_item_is_found_by_its_percent_encoded_name(source: str) -> None:
    for name in names(source):
        answer = item(source, name)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        assert (answer.json()["kind"], answer.json()["apiVersion"]) == ("Item", "v1")
        assert "data" in answer.json()


@pytest.mark.integration
def test_a_request_changes_nothing(source: str) -> None:
    first = {name: item(source, name).json() for name in names(source)}
    assert {name: item(source, name).json() for name in names(source)} == first


@pytest.mark.integration
def test_an_unknown_item_is_not_found(source: str) -> None:
    assert item(source, "no such item 8f14e45f").status_code == 404


@pytest.mark.integration
def test_concurrent_requests_succeed(source: str) -> None:
    listed = names(source)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: item(source, name).status_code, listed * 4))
    assert set(answers) == {200}


@pytest.mark.integration
def test_the_source_is_read_as_a_queue(source: str) -> None:
    run = run_pattern(ReadFromQueue(source), make=on_fnapi)
    expected = {name: item(source, name).json()["data"] for name in names(source)}
    assert {(m.key or b"").decode(): orjson.loads(m.value or b"") for m in run["out"]} == expected
    assert {m.source for m in run["out"]} == {(source, name) for name in expected}
    assert len(run["out"]) == len(expected)


@pytest.mark.integration
def test_a_folder_offers_its_files_not_their_content(tmp_path: Path) -> None:
    with serving(folder(tmp_path)) as url:
        assert names(url) == sorted(f"{tmp_path}/{name}" for name in AWKWARD)
        path = f"{tmp_path}/with space.mp4"
        assert item(url, path).json()["data"] == {"path": path, "size": 1, "modified": Path(path).stat().st_mtime}
        assert item(url, f"{tmp_path}/notes.txt").status_code == 404
        assert item(url, f"{tmp_path}/../../etc/passwd").status_code == 404


@pytest.mark.integration
def test_a_queue_offers_json_text_and_bytes(tmp_path: Path) -> None:
    with serving(queue(tmp_path)) as url:
        data = [item(url, name).json()["data"] for name in names(url)]
    assert sorted(map(str, data)) == sorted(map(str, [{"order": 1}, "plain text", {"base64": "//4="}, [1, 2]]))


class Odd(Source):
    """Lists the given names, and has none of the items."""

    def __init__(self, listed: Any) -> None:
        self._listed = listed

    def names(self) -> list[str]:
        return self._listed

    def data(self, name: str) -> Any:
        raise KeyError(name)


@pytest.mark.integration
def test_these_tests_fail_for_a_source_with_another_interface() -> None:
    with serving(Odd(["gone", "gone"])) as url:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--work-queue-source", url]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "4 failed, 2 passed" in ran.stdout  # It returns the same every time, and 404 for unknown items.


@pytest.mark.integration
@pytest.mark.parametrize("listed", [[1], None, "abc"])
def test_a_response_that_is_not_a_list_of_items_is_named(listed: Any) -> None:
    with serving(Odd(listed)) as url, pytest.raises(QueueError, match=r"did not return a list of items: \{"):
        open_queue(url).splits()


@pytest.mark.integration
def test_an_item_that_is_listed_but_missing_is_a_dead_letter() -> None:
    with serving(Odd(["gone"])) as url:
        read = ReadFromQueue(url)
        run = run_pattern(read, make=on_fnapi)
    assert run["out"] == []
    (letter,) = run.dead
    assert letter.payload == b"gone"
    assert letter.error_message.endswith("lists the item 'gone' but returns no data for it")


@pytest.mark.integration
def test_an_unreachable_source_is_named_within_seconds() -> None:
    with pytest.raises(
        QueueError, match=r"the work source http://127.0.0.1:1/api/v1/items can't be reached: .*refused"
    ):
        open_queue("http://127.0.0.1:1/api/v1/items").splits()


@pytest.mark.integration
def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    sentence = r"/api/v2/items returned status 404; check the path"
    with serving(folder(tmp_path)) as url, pytest.raises(QueueError, match=sentence):
        open_queue(url.replace("v1", "v2")).splits()


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda: ReadFromQueue("http://host:8080"), r"has no path; write http://host:8080/api/v1/items"),
        (lambda: ReadFromQueue("http://ann:pw@host/items"), r"has a user name or password in it"),
        (lambda: ReadFromQueue("http://host/items?group=x"), r"unknown parameter 'group'"),
    ],
)
def test_wrong_use_fails_at_construction(use: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        use()


def test_a_work_source_cannot_be_written_to() -> None:
    with pytest.raises(Exception, match=r"http://host/items can only be read"), beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([b"x"]) | WriteToQueue("http://host/items")
