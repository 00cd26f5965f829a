"""Writes realistic telemetry events to any queue.

    python examples/telemetry.py --count 100000 --events events.jsonl
    python examples/telemetry.py --count 100000 --events 'kafka://localhost:9092/telemetry'

The same seed gives the same events: one hour, few users with many events and many users with few, latencies with a
heavy tail, events that arrive seconds or minutes out of order as phones send them, about 1 in 500 broken.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from beam_patterns.pipelines.cli.script import hush_imports

hush_imports()

from beam_patterns.transforms.queues import Message, open_queue  # noqa: E402 (Beam is imported after that)

_START = datetime(2026, 3, 1, 12, tzinfo=UTC)
_BATCH = 1000
_METRICS = {
    "page_load_ms": lambda chance: round(chance.lognormvariate(5.5, 0.6), 1),
    "api_latency_ms": lambda chance: round(chance.lognormvariate(3.7, 0.9), 2),
    "items_in_cart": lambda chance: min(int(chance.expovariate(0.5)), 30),
    "battery_percent": lambda chance: chance.randint(1, 100),
}
_BROKEN = (
    lambda event: {**event, "value": "n/a"},
    lambda event: {**event, "at": event["at"].removesuffix("+00:00")},
    lambda event: {name: value for name, value in event.items() if name != "metric"},
    lambda event: [event],
)


def events(count: int, seed: int) -> Iterator[Message]:
    """All events, in order of arrival."""
    chance = random.Random(seed)
    users = max(10, count // 50)
    for number in range(count):
        sent = _START + timedelta(seconds=3600 * number / count)
        delay = chance.expovariate(1 / 2) if chance.random() < 0.97 else chance.uniform(10, 600)
        user = min(int(chance.paretovariate(0.8)), users)
        metric = chance.choice(list(_METRICS))
        at = (sent - timedelta(seconds=delay)).isoformat()
        event = {"metric": metric, "user": f"u{user}", "value": _METRICS[metric](chance), "at": at}
        broken = chance.choice(_BROKEN)(event) if chance.random() < 0.002 else event
        yield Message.of(broken, key=event["user"].encode())


def main() -> int:
    """Writes the events and prints their number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--events", required=True)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    writer = open_queue(o.events).writer()
    made = list(events(o.count, o.seed))
    for start in range(0, len(made), _BATCH):
        writer.write(made[start : start + _BATCH])
    writer.flush()
    writer.close()
    print(f"{o.events}: {len(made):,} events")
    return 0


if __name__ == "__main__":
    sys.exit(main())
