"""What the tests of new_user_signup share: records, and a place with queues in SQLite and mails in a Maildir."""

import json
import mailbox
import subprocess
import sys
from email.message import Message as Mail
from pathlib import Path
from typing import Any

from beam_patterns.pipelines.new_user_signup import run
from beam_patterns.transforms.dead_letters import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue


def signup(user: str, **changes: Any) -> dict[str, Any]:
    """A valid sign-up with some changes; None leaves a field out."""
    data = {
        "user_id": user,
        "email": f"{user}@example.com",
        "name": user.title(),
        "phone": "+49 30 123456",
        "email_opt_in": True,
        "sms_opt_in": False,
        "signed_up_at": "2026-03-01T09:30:00Z",
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


def confirmation(user: str) -> dict[str, Any]:
    return {"user_id": user, "confirmed_at": "2026-03-01T10:00:00+00:00"}


def as_json(data: Any) -> bytes:
    return json.dumps(data).encode()


class Place:
    """Queues and mails in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outbox = folder, folder / "outbox"
        self.put("signups")
        self.put("confirmations")

    def uri(self, topic: str) -> str:
        return f"sqlite://{self.folder}/queues.db?topic={topic}"

    def put(self, topic: str, *items: Any) -> None:
        """Appends items: bytes unchanged, other data as JSON."""
        writer = open_queue(self.uri(topic)).writer()
        writer.write([Message(item if isinstance(item, bytes) else as_json(item)) for item in items])
        writer.flush()
        writer.close()

    def arguments(self, *more: str) -> list[str]:
        named = {
            "--signups": self.uri("signups") + "&group=g",
            "--confirmations": self.uri("confirmations") + "&group=g",
            "--output": self.uri(""),
            "--dead_letters": self.uri("dead_letters"),
            "--mail": str(self.outbox),
            **dict(zip(more[::2], more[1::2], strict=True)),
        }
        return [part for pair in named.items() for part in pair]

    def run(self, *more: str) -> int:
        """The whole pipeline in this process."""
        return run(self.arguments(*more))

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The whole pipeline as a process of its own."""
        command = [sys.executable, "-m", "beam_patterns.pipelines", "new_user_signup", *self.arguments(*more)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def messages(self, topic: str) -> list[Message]:
        """All messages of a topic, each message_id once, as a consumer sees them that ignores repetitions."""
        queue = open_queue(self.uri(f"{topic}&group=test"))
        found = [message for split in queue.splits() for batch in queue.read(split) for message in batch]
        return list({message.attribute("message_id") or message.source: message for message in found}.values())

    def data(self, topic: str) -> list[Any]:
        return [message.json() for message in self.messages(topic)]

    def subscriptions(self) -> list[tuple[str, str, str]]:
        return sorted((d["user_id"], d["channel"], d["address"]) for d in self.data("subscriptions"))

    def waiting(self) -> list[tuple[str, str]]:
        """The users in the pending queue that the next run will read."""
        queue = open_queue(self.uri("pending&group=new_user_signup"))
        found = [message for split in queue.splits() for batch in queue.read(split) for message in batch]
        return sorted((message.json()["user_id"], message.attribute("signup.kind").decode()) for message in found)

    def dead(self) -> list[DeadLetter]:
        return [DeadLetter.from_message(message) for message in self.messages("dead_letters")]

    def mails(self) -> list[Mail]:
        return list(mailbox.Maildir(self.outbox))

    def mailed(self) -> list[tuple[str, str]]:
        """A pair of recipient and subject per mail."""
        return sorted((str(mail["To"]).split("<")[1].rstrip(">"), str(mail["Subject"])) for mail in self.mails())


VERIFY, WELCOME = "Please confirm your address", "Welcome"
