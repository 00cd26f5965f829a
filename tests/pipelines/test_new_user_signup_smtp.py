"""The sign-up flow over a real SMTP server."""

import email
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.servers import free_port

from .signups import VERIFY, WELCOME, Place, confirmation, signup

pytestmark = pytest.mark.integration


class Server(Controller):
    """Records the mails it accepts; refuses those for `nobody`, and defers those for `later` once."""

    def __init__(self) -> None:
        super().__init__(self, hostname="127.0.0.1", port=free_port())
        self.accepted: list[tuple[str, str, str]] = []
        self.connections = 0
        self._deferred = set[str]()

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: Any) -> Any:  # noqa: N802
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user here"
        if address.startswith("later@") and address not in self._deferred:
            self._deferred.add(address)
            return "450 4.2.0 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content)
        self.accepted.append((envelope.rcpt_tos[0], str(mail["Subject"]), str(mail["Message-ID"])))
        return "250 accepted"

    @property
    def uri(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def mailed(self) -> list[tuple[str, str]]:
        return sorted((to, subject) for to, subject, _ in self.accepted)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_mails_arrive_over_few_connections_and_a_refused_recipient_is_a_dead_letter(
    place: Place, server: Server
) -> None:
    place.put("signups", signup("ann"), signup("nobody"), signup("later"))
    place.put("confirmations", confirmation("ann"))
    assert place.run("--mail", server.uri, "--sent", str(place.folder / "sent.db")) == 0
    assert server.mailed() == [
        ("ann@example.com", VERIFY),
        ("ann@example.com", WELCOME),
        ("later@example.com", VERIFY),
    ]
    assert server.connections == 2  # One per step that mails.
    (refused,) = place.dead()
    assert refused.payload == place.messages("signups")[1].value
    assert (refused.step, refused.error_message) == (
        "AskToVerify",
        f"{server.uri} refused nobody <nobody@example.com>: 550 5.1.1 no such user here".replace(
            "nobody <", "Nobody <"
        ),
    )


def test_a_repeated_run_sends_no_mail_again(place: Place, server: Server) -> None:
    arguments = ("--mail", server.uri, "--sent", str(place.folder / "sent.db"))
    place.put("signups", signup("ann"))
    assert place.run(*arguments) == 0
    place.put("signups", signup("ann"))
    assert place.run(*arguments) == 0
    assert server.mailed() == [("ann@example.com", VERIFY)]


@pytest.mark.parametrize("accepted", [1, 40, 99])
def test_a_kill_repeats_at_most_the_mail_in_flight(place: Place, server: Server, accepted: int) -> None:
    users = [f"u{number:03}" for number in range(100)]
    arguments = ("--mail", server.uri, "--sent", str(place.folder / "sent.db"))
    place.put("signups", *map(signup, users))
    process = place.start(*arguments)
    deadline = time.monotonic() + 60
    while len(server.accepted) < accepted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert place.run(*arguments) == 0
    times = Counter(server.accepted)
    assert sorted(to for to, _, _ in times) == [f"{user}@example.com" for user in users]
    assert sum(times.values()) <= len(users) + 1


def test_a_server_that_does_not_run_is_named_in_one_sentence(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.put("signups", signup("ann"))
    port = free_port()
    assert place.run("--mail", f"smtp://127.0.0.1:{port}", "--sent", str(place.folder / "sent.db")) == 1
    assert capfd.readouterr().err == f"can't use the mail server smtp://127.0.0.1:{port}: Connection refused\n"
    assert place.waiting() == []


def test_a_password_is_never_sent_unencrypted(
    place: Place, server: Server, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_PATTERNS_SMTP_USER", "ann")
    monkeypatch.setenv("BEAM_PATTERNS_SMTP_PASSWORD", "secret")
    place.put("signups", signup("ann"))
    assert place.run("--mail", server.uri, "--sent", str(place.folder / "sent.db")) == 1
    assert "offers no STARTTLS" in capfd.readouterr().err
    assert server.accepted == []
