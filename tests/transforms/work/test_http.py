"""HttpWorker with a real server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import MESSAGE_ID, Message
from beam_patterns.transforms.work import HttpBusyError, HttpError, HttpRefusedError, HttpWorker, PermanentError
from tests.transforms.test_work_queue import counters, run_of

ORDER = Message(b'{"order": 7}', source=("orders", 0, 7))


class Service:
    """A server that sends the given answers and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.times: list[float] = []
        self.connections = set[int]()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.times.append(time.monotonic())
                service.connections.add(self.client_address[1])
                service.requests.append((self.path, dict(self.headers), body))
                status, headers = service.answers.pop(0) if service.answers else (200, {})
                answer = b"done " + body
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/label?secret=s3cr3t"


@pytest.fixture
def service() -> Iterator[Service]:
    """A running service on a free port."""
    one = Service()
    threading.Thread(target=one.server.serve_forever, daemon=True).start()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.mark.integration
def test_the_item_is_posted_and_the_response_is_the_result(service: Service) -> None:
    assert HttpWorker(service.url)(ORDER) == b'done {"order": 7}'
    (path, headers, body) = service.requests[0]
    assert (path, body, headers["Content-Type"]) == ("/label?secret=s3cr3t", b'{"order": 7}', "application/json")


@pytest.mark.integration
def test_the_idempotency_key_of_an_item_is_its_message_id_in_every_request(service: Service) -> None:
    worker = HttpWorker(service.url)
    for item in (ORDER, ORDER, ORDER._replace(source=("orders", 0, 8)), {"a": 1}, {"a": 1}, {"a": 2}):
        worker(item)
    keys = [headers["Idempotency-Key"] for _, headers, _ in service.requests]
    assert keys[0].encode() == ORDER.with_id().attribute(MESSAGE_ID)
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4] != keys[5]


@pytest.mark.integration
def test_connections_stay_open(service: Service) -> None:
    worker = HttpWorker(service.url)
    for number in range(5):
        worker({"n": number})
    assert len(service.connections) == 1


@pytest.mark.integration
def test_the_error_of_a_busy_service_has_the_seconds_until_the_retry(service: Service) -> None:
    in_ten = formatdate(time.time() + 10, usegmt=True)
    service.answers = [
        (429, {"Retry-After": "7"}),
        (503, {"Retry-After": in_ten}),
        (503, {}),
        (429, {"Retry-After": "x"}),
    ]
    found = []
    for _ in range(4):
        with pytest.raises(HttpBusyError) as caught:
            HttpWorker(service.url)({})
        found.append(caught.value.retry_after)
    assert found == [7.0, pytest.approx(10, abs=2), None, None]


@pytest.mark.integration
@pytest.mark.parametrize("status", [500, 502, 504, 408])
def test_a_failure_of_the_service_is_worth_a_retry(service: Service, status: int) -> None:
    service.answers = [(status, {})]
    with pytest.raises(HttpError, match=rf"http://127.0.0.1:\d+/label answered {status}"):
        HttpWorker(service.url)({})


@pytest.mark.integration
@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422])
def test_a_refused_item_is_not_sent_again(service: Service, status: int) -> None:
    service.answers = [(status, {"Location": "http://127.0.0.1:1/elsewhere"})]
    with pytest.raises(HttpRefusedError, match=rf"answered {status}"):
        HttpWorker(service.url)({})
    assert len(service.requests) == 1


def test_the_error_of_an_unreachable_service_has_its_url_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0k3n")
    worker = HttpWorker("http://127.0.0.1:1/label?secret=s3cr3t").with_token_from("TOKEN")
    with pytest.raises(HttpError, match=r"http://127.0.0.1:1/label can't be reached \(ConnectError\)") as caught:
        worker({})
    assert "s3cr3t" not in repr(caught.value) and "t0k3n" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert isinstance(caught.value.__context__, httpx.HTTPError)  # `from None` keeps it out of the traceback.


@pytest.mark.integration
def test_the_token_comes_from_the_environment_of_the_worker(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = HttpWorker(service.url).with_token_from("TOKEN")
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(PermanentError, match="needs a token in the environment variable TOKEN"):
        worker({})
    monkeypatch.setenv("TOKEN", "t0k3n")
    worker({})
    assert service.requests[0][1]["Authorization"] == "Bearer t0k3n"


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_a_work_queue_waits_as_long_as_the_service_asks_and_retries_with_the_same_key(service: Service) -> None:
    service.answers = [(429, {"Retry-After": "1"})]
    run = run_of([ORDER], WorkQueue(HttpWorker(service.url)).with_workers(1))
    assert run["out"] == [b'done {"order": 7}']
    assert counters(run) == {"in": 1, "out": 1, "results": 1, "retried": 1}
    assert service.times[1] - service.times[0] >= 1
    assert len({headers["Idempotency-Key"] for _, headers, _ in service.requests}) == 1


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_a_refused_item_becomes_a_dead_letter_at_once(service: Service) -> None:
    service.answers = [(422, {})]
    (letter,) = run_of([ORDER], WorkQueue(HttpWorker(service.url)).with_workers(1)).dead
    assert (letter.attempts, json.loads(letter.payload or b"")) == (1, {"order": 7})
    assert "s3cr3t" not in "".join(map(str, letter))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: HttpWorker("example.org"), r"takes a URL such as https://host/path, not 'example.org'"),
        (lambda: HttpWorker("ftp://example.org/"), r"takes a URL"),
        (lambda: HttpWorker(None), r"takes a URL"),
        (
            lambda: HttpWorker("https://ann:pw@example.org/x"),
            r"HttpWorker\(https://example.org/x\): the URL has a user",
        ),
    ],
)
def test_wrong_use_fails_at_construction(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        make()
    assert "pw" not in str(caught.value)
