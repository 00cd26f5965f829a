"""kill -9 at many moments: nothing is lost, and no mail is delivered twice."""

import mailbox
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .signups import VERIFY, WELCOME, Place, confirmation, signup

pytestmark = pytest.mark.integration

USERS = [f"u{number:03}" for number in range(300)]
CONFIRMED, PENDING = USERS[:250], USERS[250:]
EXPECTED = sorted(
    [(f"{user}@example.com", VERIFY) for user in USERS] + [(f"{user}@example.com", WELCOME) for user in CONFIRMED]
)


def _drafts(place: Place) -> bool:
    return any((place.outbox / "tmp").glob("*"))


def _delivered(place: Place) -> bool:
    return any((place.outbox / "new").glob("*"))


def _all_delivered(place: Place) -> bool:
    return len(list((place.outbox / "new").glob("*"))) == len(EXPECTED)


def _in(topic: str) -> Callable[[Place], bool]:
    return lambda place: bool(_rows(place, "SELECT 1 FROM topics WHERE name = ? AND next_offset > 0", topic))


def _committed(topic: str) -> Callable[[Place], bool]:
    query = "SELECT 1 FROM positions p JOIN topics t ON t.id = p.topic WHERE name = ? AND p.next_offset > 0"
    return lambda place: bool(_rows(place, query, topic))


def _rows(place: Place, query: str, topic: str) -> list:
    with sqlite3.connect(place.folder / "queues.db", timeout=30) as db:
        return db.execute(query, (topic,)).fetchall()


MOMENTS = {
    "first draft": _drafts,
    "first mail": _delivered,
    "all mails": _all_delivered,
    "first subscription": _in("subscriptions"),
    "first dead letter": _in("dead_letters"),
    "pending written": _in("pending"),
    "sign-ups committed": _committed("signups"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment_loses_nothing_and_repeats_no_mail(tmp_path: Path, moment: str) -> None:
    place = Place(tmp_path)
    place.put("signups", *map(signup, USERS), b"broken")
    place.put("confirmations", *map(confirmation, CONFIRMED))
    _kill(place, MOMENTS[moment])
    _read_half_of_the_mails(place)
    assert place.run() == 0
    assert place.mailed() == EXPECTED
    assert [user for user, _, _ in place.subscriptions()] == CONFIRMED
    assert {letter.payload for letter in place.dead()} == {b"broken"}
    place.put("confirmations", *map(confirmation, PENDING))
    assert place.run() == 0
    assert place.mailed() == sorted([*EXPECTED, *((f"{user}@example.com", WELCOME) for user in PENDING)])
    assert [user for user, _, _ in place.subscriptions()] == USERS
    assert [kind for _, kind in place.waiting() if kind == "sign-up"] == []


def _kill(place: Place, moment: Callable[[Place], bool]) -> None:
    process = place.start()
    deadline = time.monotonic() + 60
    while process.poll() is None and not moment(place):
        assert time.monotonic() < deadline, "that moment never came"
        time.sleep(0.001)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0), output


def _read_half_of_the_mails(place: Place) -> None:
    """As a mail program does, which moves mails that it has shown to cur/."""
    outbox = mailbox.Maildir(place.outbox)
    for key in list(outbox.keys())[::2]:
        mail = outbox[key]
        mail.set_subdir("cur")
        mail.add_flag("S")
        outbox[key] = mail
