"""What the tests of shipping_notifications share: orders, a place with queues, a provider of text messages."""

import json
import mailbox
import subprocess
import sys
import threading
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from beam_patterns.pipelines.shipping_notifications import run
from beam_patterns.transforms.dead_letters import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from tests import ROOT


def order(number: str, *notify: str, **changes: Any) -> dict[str, Any]:
    """A valid shipped order with some changes; None leaves a field out."""
    data = {
        "order_id": number,
        "status": "shipped",
        "name": "Ann Smith",
        "notify": list(notify),
        "email": f"{number}@example.com",
        "phone": "+49 30 123456",
        "carrier": "DHL",
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


class Place:
    """Queues, a Maildir and the record of sent notices, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outbox = folder, folder / "outbox"
        for topic in ("orders", "texts", "untold", "dead_letters"):
            self.put(topic)

    def uri(self, topic: str) -> str:
        return f"sqlite://{self.folder}/queues.db?topic={topic}"

    def put(self, topic: str, *items: Any) -> None:
        """Appends items: bytes unchanged, other data as JSON."""
        writer = open_queue(self.uri(topic)).writer()
        writer.write([Message(item if isinstance(item, bytes) else json.dumps(item).encode()) for item in items])
        writer.flush()
        writer.close()

    def arguments(self, **changes: str) -> list[str]:
        named = {
            "orders": self.uri("orders") + "&group=g",
            "mail": str(self.outbox),
            "texts": self.uri("texts"),
            "untold": self.uri("untold"),
            "dead_letters": self.uri("dead_letters"),
            "sent": str(self.folder / "sent"),
            **changes,
        }
        return [part for name, value in named.items() for part in (f"--{name}", value)]

    def run(self, **changes: str) -> int:
        """The whole pipeline in this process."""
        return run(self.arguments(**changes))

    def start(self, **changes: str) -> "subprocess.Popen[bytes]":
        """The whole pipeline in processes of their own, in a session that can be killed."""
        command = [sys.executable, str(ROOT / "pipelines" / "shipping_notifications.py"), *self.arguments(**changes)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def mails(self) -> list[Mail]:
        return list(mailbox.Maildir(self.outbox))

    def data(self, topic: str) -> list[Any]:
        return [message.json() for message in self.messages(topic)]

    def messages(self, topic: str) -> list[Message]:
        queue = open_queue(self.uri(topic) + "&group=test")
        return [message for split in queue.splits() for batch in queue.read(split) for message in batch]

    def dead(self) -> list[DeadLetter]:
        return [DeadLetter.from_message(message) for message in self.messages("dead_letters")]


class Provider(ThreadingHTTPServer):
    """Sends text messages; refuses numbers that end in 000, and defers each number that ends in 503 once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.tokens = set[str | None]()
        self.deferred = set[str]()

    def __enter__(self) -> "Provider":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *unused: Any) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/messages"

    def sent(self) -> list[tuple[str, str]]:
        """What a provider that recognises keys sends: one message per key."""
        return sorted({key: (text["order_id"], text["to"]) for key, text in self.requests}.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.tokens.add(self.headers["Authorization"])
        if text["to"].endswith("000"):
            self._answer(422, {})
        elif text["to"].endswith("503") and text["to"] not in self.server.deferred:
            self.server.deferred.add(text["to"])
            self._answer(503, {"Retry-After": "0"})
        else:
            self.server.requests.append((self.headers["Idempotency-Key"], text))
            self._answer(200, {})

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *unused: Any) -> None:
        return
