"""Writes realistic orders to any queue, for shipping_notifications.

    python examples/orders.py --count 10000 --orders 'sqlite:///tmp/queues.db?topic=orders'

The same seed gives the same orders. Three of four orders are shipped; customers choose mail, text messages, both or
nothing; about 1 % of the orders are broken, each in one of the ways of real input, and about 1 % come twice.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator

from beam_patterns.pipelines.cli.script import hush_imports

hush_imports()

from beam_patterns.transforms.queues import Message, open_queue  # noqa: E402 (Beam is imported after that)

_NAMES = (
    "Ada Lovelace",
    "Björn Åkesson",
    "Chloé Dubois",
    "Elif Çelik",
    "Fatou Diallo",
    "Hiroshi Tanaka",
    "João García",
)
_CARRIERS = ("DHL", "UPS", "La Poste", "Yamato")
_CHOICES = (["email"], ["email"], ["sms"], ["email", "sms"], [], None)
_STATUS = ("shipped", "shipped", "shipped", "packed")
_BATCH = 1000


def orders(count: int, seed: int = 1) -> Iterator[Message]:
    """All orders, including broken and repeated ones."""
    for position in range(count):
        chance = random.Random(f"{seed}/{position}")
        name = chance.choice(_NAMES)
        order = {
            "order_id": f"A-{position:07}",
            "status": chance.choice(_STATUS),
            "name": name,
            "notify": chance.choice(_CHOICES),
            "email": f"{name.split()[0].encode('ascii', 'ignore').decode().lower()}{position}@example.com",
            "phone": f"+4930 {chance.randrange(10**6, 10**7)}",
            "carrier": chance.choice(_CARRIERS),
        }
        luck = chance.random()
        value = json.dumps(order, ensure_ascii=False).encode()
        if luck < 0.01:
            value = chance.choice(_BREAKAGES)(order, value)
        yield Message(value, key=order["order_id"].encode())
        if luck > 0.99:
            yield Message(value, key=order["order_id"].encode())


def _with(**changes):
    return lambda order, value: json.dumps({**order, "status": "shipped", **changes}).encode()


_BREAKAGES = [
    lambda order, value: value[: len(value) // 2],
    lambda order, value: b"[]",
    _with(order_id=None),
    _with(notify="both"),
    _with(notify=["email"], email="nobody"),
    _with(notify=["sms"], phone="none"),
    _with(notify=["email", "sms"], carrier="DHL\r\nBcc: everybody@example.com"),
]


def main(argv: list[str]) -> None:
    """Writes the orders and prints their number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", required=True, help="queue for orders")
    o = parser.parse_args(argv)
    messages, writer = list(orders(o.count, o.seed)), open_queue(o.orders).writer()
    for start in range(0, len(messages), _BATCH):
        writer.write(messages[start : start + _BATCH])
    for rejected in writer.flush():
        sys.exit(f"{o.orders} rejected a message: {rejected.error}")
    writer.close()
    print(f"{len(messages):,} orders in {o.orders}")


if __name__ == "__main__":
    main(sys.argv[1:])
