"""Writes realistic sign-ups and confirmations to any queues.

    python examples/signups.py --count 10000 --signups 'sqlite:///tmp/queues.db?topic=signups' \\
        --confirmations 'sqlite:///tmp/queues.db?topic=confirmations'
    python examples/signups.py --count 10000 --late --confirmations 'sqlite:///tmp/queues.db?topic=confirmations'

The same seed gives the same users. About 3 % do not confirm at once; `--late` writes the confirmations of most of them.
About 1 % of the sign-ups are broken, each in one of the ways of real input; a few come twice.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from beam_patterns.pipelines.cli.script import hush_imports

hush_imports()

from beam_patterns.transforms.queues import Message, open_queue  # noqa: E402 (Beam is imported after that)

_FIRST = (
    "Ada",
    "Björn",
    "Chloé",
    "Elif",
    "Fatou",
    "Grace",
    "Hiroshi",
    "João",
    "Kwame",
    "Nguyễn",
    "Olga",
    "Priya",
    "Søren",
)
_LAST = ("Lovelace", "Åkesson", "Dubois", "Petrov", "Çelik", "Diallo", "Hopper", "Tanaka", "García", "Mensah", "Patel")
_DOMAINS = ("example.com", "example.org", "mail.example.net", "bücher.example")
_START = datetime(2026, 3, 1, 8, tzinfo=UTC)
_BATCH = 1000


def users(count: int, seed: int) -> Iterator[tuple[dict, random.Random]]:
    """Sign-ups, each with its own random generator, so that --late finds the same users."""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        box = f"{first}.{last}.{number}".lower().encode("ascii", "ignore").decode()
        opts_for_texts = chance.random() < 0.3
        user = {
            "user_id": f"u{number:07}",
            "email": f"{box}@{chance.choice(_DOMAINS)}",
            "name": f"{first} {last}",
            "email_opt_in": chance.random() < 0.6,
            "sms_opt_in": opts_for_texts,
            "signed_up_at": (_START + timedelta(seconds=number * 7)).isoformat(),
        }
        if opts_for_texts or chance.random() < 0.2:
            user["phone"] = f"+4930 {chance.randrange(10**6, 10**7)}"
        yield user, chance


def signups(count: int, seed: int) -> Iterator[Message]:
    """All sign-ups, including broken and repeated ones."""
    for user, chance in users(count, seed):
        value = json.dumps(user, ensure_ascii=False).encode()
        luck = chance.random()
        if luck < 0.01:
            value = chance.choice(_BREAKAGES)(user, value)
        yield Message(value, key=user["user_id"].encode())
        if luck > 0.995:
            yield Message(value, key=user["user_id"].encode())


def confirmations(count: int, seed: int, late: bool) -> Iterator[Message]:
    """The confirmations that come at once, or the late ones."""
    for user, _ in users(count, seed):
        luck = random.Random(f"{seed}/{user['user_id']}/confirms").random()
        if (0.97 <= luck < 0.995) if late else luck < 0.97:
            when = datetime.fromisoformat(user["signed_up_at"]) + timedelta(minutes=3, days=2 * late)
            data = {"user_id": user["user_id"], "confirmed_at": when.isoformat()}
            yield Message.of(data, key=user["user_id"].encode())


def _without(name: str):
    return lambda user, value: json.dumps({k: v for k, v in user.items() if k != name}).encode()


def _with(**changes):
    return lambda user, value: json.dumps({**user, **changes}).encode()


_BREAKAGES = [
    lambda user, value: value[: len(value) // 2],
    lambda user, value: value.replace(b"@", b"\xff\xfe"),
    lambda user, value: b"null",
    _without("email"),
    _without("user_id"),
    _with(email="nobody"),
    _with(email="ann@localhost"),
    _with(name="Ann\r\nBcc: everybody@example.com"),
    _with(sms_opt_in="yes"),
    _with(signed_up_at="yesterday"),
]


def main(argv: list[str]) -> None:
    """Writes the records and prints their numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signups", help="queue for sign-ups; without it none are written")
    parser.add_argument("--confirmations", required=True, help="queue for confirmations")
    parser.add_argument("--late", action="store_true", help="write the late confirmations")
    o = parser.parse_args(argv)
    if o.signups and not o.late:
        _fill(o.signups, "sign-ups", signups(o.count, o.seed))
    _fill(o.confirmations, "late confirmations" if o.late else "confirmations", confirmations(o.count, o.seed, o.late))


def _fill(uri: str, what: str, messages: Iterator[Message]) -> None:
    writer, total, batch = open_queue(uri).writer(), 0, []
    for message in messages:
        batch.append(message)
        total += 1
        if len(batch) == _BATCH:
            writer.write(batch)
            batch = []
    writer.write(batch)
    for rejected in writer.flush():
        sys.exit(f"{uri} rejected a message: {rejected.error}")
    writer.close()
    print(f"{total:,} {what} in {uri}")


if __name__ == "__main__":
    main(sys.argv[1:])
