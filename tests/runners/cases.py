"""What each pipeline does on every runner: one table of command lines, what they find, and exactly what they leave.

A name with a suffix is a file in the case's folder, one that ends in / is a folder, and any other a topic of a database
there, with &group=NAME for what that group has not read. {here} stands for the folder, {topic} for what comes before a
topic's name.
"""

import datetime
import json
import mailbox
import runpy
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from tests import ROOT
from tests.pipelines import orders, signups, videos
from tests.pipelines.signups import VERIFY, WELCOME
from tests.pipelines.videos import NO_MOOV


class Traffic(NamedTuple):
    """A picture of examples/traffic.py."""

    seed: int


class Case(NamedTuple):
    """A command line; what there is before; what there is afterwards; and the balance, step by step."""

    argv: Sequence[str]
    given: Mapping[str, Any]
    wanted: Mapping[str, Any]
    balance: str


def letter(number: int, said: str) -> Message:
    """A dead letter of an order."""
    entered = Message(b"%d" % number, source=("orders", 0, number))
    return DeadLetter.of(entered, ValueError(said), step="Work").as_message()


def window(minute: int, count: int, total: float, *values: float) -> dict[str, Any]:
    """What telemetry_rollup writes about a window, with the smallest and the largest value."""
    begin, end = (f"2026-03-01T12:0{number}:00+00:00" for number in (minute, minute + 1))
    low, high = min(values), max(values)
    quantiles = {"p50": high, "p95": high, "p99": high}
    head = {"metric": "load", "from": begin, "to": end, "sum": total, "mean": total / count, "count": count}
    return {**head, "low": low, "high": high, **quantiles, "users": count}


def sold(day: int, region: str, sales: str, refunds: str, **more: Any) -> dict[str, Any]:
    """What sales_report tells of tea."""
    amounts = {"sales": Decimal(sales), "refunds": Decimal(refunds), "net": Decimal(sales) + Decimal(refunds)}
    head = {"starts": datetime.date(2026, 3, day), "region": region, "product": "tea", **amounts}
    return {**head, "orders": 1, "returns": 0, "units": 1, "net_before": None, "change_percent": None, **more}


CASES = {
    "new_user_signup": Case(
        [
            "--signups={topic}signups&group=g",
            "--confirmations={topic}confirmations&group=g",
            "--output={topic}",
            "--dead_letters={topic}dead",
            "--mail={here}/outbox",
        ],
        {
            "signups": [
                signups.signup("ann", sms_opt_in=True),
                signups.signup("bob"),
                signups.signup("cho", email_opt_in=False),
                b"broken",
            ],
            "confirmations": [signups.confirmation(user) for user in ("ann", "cho", "dan")],
        },
        {
            "outbox": [
                ("Ann <ann@example.com>", VERIFY),
                ("Ann <ann@example.com>", WELCOME),
                ("Bob <bob@example.com>", VERIFY),
                ("Cho <cho@example.com>", VERIFY),
                ("Cho <cho@example.com>", WELCOME),
            ],
            "subscriptions": [
                {"user_id": "ann", "channel": "email", "address": "ann@example.com"},
                {"user_id": "ann", "channel": "sms", "address": "+4930123456"},
            ],
            "texts": [
                {
                    "user_id": "ann",
                    "to": "+4930123456",
                    "text": "Welcome, Ann! You will get our news by text message. Reply STOP to end that.",
                }
            ],
            "pending": [signups.signup("bob"), signups.confirmation("dan")],
            "dead": [
                (
                    "CheckSignups",
                    1,
                    "not valid JSON: unexpected character, expected a JSON value: line 1 column 1 (char 0)",
                )
            ],
            "signups&group=g": [],
            "confirmations&group=g": [],
        },
        "ReadSignups 4, ReadConfirmations 3, CheckSignups 4 3 1, CheckConfirmations 3 3, Gather 6 6, Match 6 6, "
        "CopyConfirmed 2 2, OptedIn 2 1 1, ByChannel 1 1, SubscribeMail 1 1, SubscribeText 1 1, Subscriptions 2 2, "
        "ComposeText 1 1, AskToVerify 3 3, SayWelcome 2 2, "
        "WriteSubscriptions 2 2, WriteTexts 1 1, WritePending 2 2, DeadLetters/Park 1 1",
    ),
    "video_thumbnails": Case(
        ["--videos={here}/videos", "--output={here}/out", "--dead_letters={topic}dead", "--frames=2", "--size=64"],
        {"videos/a.mp4": ((128, 64), 4), "videos/b.mp4": b"no video"},
        {
            "out/": ["a.mp4", "index.html"],
            "out/a.mp4/": ["frame-1.jpg", "frame-2.jpg", "preview.webp", "sheet.jpg", "thumbnails.json"],
            "dead": [("Thumbnails", 1, NO_MOOV)],
        },
        "Thumbnails 2 1 1, Park 1 1",
    ),
    "video_renditions": Case(
        ["--videos={here}/videos", "--output={here}/out", "--dead_letters={topic}dead"],
        {"videos/a.mp4": ((1280, 720), 4), "videos/b.mp4": b"no video"},
        {
            "out/": ["a.mp4"],
            "out/a.mp4/": ["1080p.mp4", "manifest.json", "mobile.mp4", "thumbnail.webp"],
            "dead": [("Probe", 1, NO_MOOV)],
        },
        "Probe 2 1 1, Copy 1 1, Above 1080p 1 0 1, Above mobile 1 1, 1080p 1 1, Mobile 1 1, Thumbnail 1 1, "
        "DeadLetters/Park 1 1",
    ),
    "image_tagging": Case(
        [
            "--images={here}/images",
            "--output={here}/out",
            "--dead_letters={topic}dead",
            "--delete_originals",
            "--shards=1",
        ],
        {"images/a.png": Traffic(3), "images/b.png": b"no image"},
        {
            "images/": ["b.png"],
            "out/": ["blurred", "index.html", "summary.json"],
            "out/blurred/": ["a.png"],
            "out/summary.json": {"vehicles": {"motorcycle": 2}, "colors": {"black": 1, "green": 1}},
            "dead": [("Blur 0", 1, "the file is not a JPEG, PNG, WEBP, BMP or TIFF image; in stage 'plates'")],
        },
        "Look 2 2, Shard for Blur 2 2, Blur 0 2 1 1, Join 1 1, Gather 1 1, Copy 1 1, Delete 1 1, Shard for Tag 1 1, "
        "Tag 0 1 1, Total 1 1, Tags 1 1, Park 1 1",
    ),
    "shipping_notifications": Case(
        [
            "--orders={topic}orders&group=g",
            "--mail={here}/outbox",
            "--texts={topic}texts",
            "--untold={topic}untold",
            "--dead_letters={topic}dead",
            "--sent={here}/sent",
        ],
        {
            "orders": [
                orders.order("mail", "email"),
                orders.order("both", "email", "sms"),
                orders.order("both", "email", "sms"),
                orders.order("none"),
                orders.order("packed", "sms", status="packed"),
                orders.order("mute", "sms", phone=None),
            ]
        },
        {
            "outbox": [
                ("Ann Smith <both@example.com>", "Your order both is on its way"),
                ("Ann Smith <mail@example.com>", "Your order mail is on its way"),
            ],
            "texts": [
                {
                    "order_id": "both",
                    "to": "+4930123456",
                    "text": "Your order both is on its way with DHL. https://shop.example/orders/both",
                }
            ],
            "untold": [orders.order("none")],
            "dead": [("Text", 1, "the field 'phone' is missing; in stage 'compose'")],
            "orders&group=g": [],
        },
        "ReadOrders 6, Shipped 6 5 1, Each order once 5 4 1, By choice 4 4, Email 2 2, Text 2 1 1, WriteUntold 1 1, "
        "DeadLetters/Park 1 1",
    ),
    "sales_report": Case(
        ["--orders={here}/orders.csv", "--output={here}/report", "--timezone=Europe/Berlin"],
        {
            "orders.csv": b"placed_at,region,product,quantity,amount\n"
            b"2026-03-28T22:59:59Z,north,tea,1,1.10\n2026-03-28T23:00:00Z,north,tea,2,2.20\n"
            b"2026-03-28T23:00:01Z,north,tea,1,-0.30\n2026-03-29T22:00:00Z,south,tea,1,4.00\n"
            b"2026-03-29T22:00:00Z,,tea,1,8.00\n"
        },
        {
            "report/daily.parquet": [
                sold(28, "north", "1.10", "0.00"),
                sold(29, "north", "2.20", "-0.30", returns=1, net_before=Decimal("1.10"), change_percent=800 / 11),
                sold(30, "south", "4.00", "0.00"),
            ],
            "report/weekly.parquet": [
                sold(23, "north", "3.30", "-0.30", orders=2, returns=1, units=2),
                sold(30, "south", "4.00", "0.00"),
            ],
            "report/dead_letters.jsonl": [("Read", 1, "region is empty")],
            "report/report.html": "the page",
        },
        "Read 4 1, Daily 4 4, Weekly 3 3, Park 1 1, Reasons 1 1",
    ),
    "telemetry_rollup": Case(
        ["--events={topic}events&group=g", "--output={topic}windows", "--dead_letters={topic}dead", "--window=1m"],
        {
            "events": [
                {"metric": "load", "user": user, "value": value, "at": f"2026-03-01T12:{at}Z"}
                for user, value, at in [("ann", 1.5, "00:01"), ("bob", 2.5, "00:59"), ("ann", 4, "01:00")]
            ]
            + [b"[1]"]
        },
        {
            "windows": [window(0, 2, 4.0, 1.5, 2.5), window(1, 1, 4.0, 4.0)],
            "dead": [("Check", 1, "not a JSON object but list")],
            "events&group=g": [],
        },
        "Read 4, Check 4 3 1, RollUp 3 3, Write 2 2, DeadLetters/Park 1 1",
    ),
    "word_count": Case(
        ["--text={here}/texts/*.txt", "--counts={topic}counts", "--dead_letters={topic}dead"],
        {"texts/a.txt": b"The cat\nthe \xff dog\n", "texts/b.txt": b"a cat's CAT\n"},
        {
            "counts": [{"word": w, "count": n} for w, n in (("cat's", 1), ("a", 1), ("cat", 2), ("the", 1))],
            "dead": [("Text", 1, "'utf-8' codec can't decode byte 0xff in position 4: invalid start byte")],
        },
        "Read 3, Text 3 2 1, Count 5 5, Write 4 4, DeadLetters/Park 1 1",
    ),
    "work_queue": Case(
        [
            "--input={topic}items&group=g",
            "--command=cat {path}",
            "--output={topic}results",
            "--dead_letters={topic}dead",
            "--attempts=1",
        ],
        {"items": [{"path": "{here}/a.txt"}, {"path": "{here}/b.txt"}, {"path": "x"}], "a.txt": b"A", "b.txt": b"B"},
        {
            "results": [b"A", b"B"],
            "dead": [("Work", 1, "cat ended with exit code 1: cat: x: No such file or directory")],
            "items&group=g": [],
        },
        "Read 3, Work 3 2 1, Write 2 2, DeadLetters/Park 1 1",
    ),
    "copy_queue": Case(
        ["--input={topic}items&group=g", "--outputs={topic}left {topic}right", "--dead_letters={topic}dead"],
        {"items": [{"n": 1}, b"2 \xff"]},
        {"left": [b"2 \xff", {"n": 1}], "right": [b"2 \xff", {"n": 1}], "items&group=g": []},
        "Read 2, Copy 2 2, Write copy1 2 2, Write copy2 2 2",
    ),
    "filter_queue": Case(
        ["--input={topic}items&group=g", "--where=item.n > 1", "--output={topic}kept", "--dead_letters={topic}dead"],
        {"items": [{"n": 1}, {"n": 2}, {"n": 3}, b"none"]},
        {
            "kept": [{"n": 2}, {"n": 3}],
            "dead": [("Filter", 1, "not valid JSON: invalid literal, expected 'null': line 1 column 1 (char 0)")],
            "items&group=g": [],
        },
        "Read 4, Filter 4 2 1 1, Write 2 2, DeadLetters/Park 1 1",
    ),
    "split_queue": Case(
        [
            "--input={topic}items&group=g",
            "--cases=low: item.n < 2; odd: item.n % 2 == 1",
            "--output={topic}to-",
            "--dead_letters={topic}dead",
        ],
        {"items": [{"n": 1}, {"n": 2}, {"n": 3}, {"m": 4}]},
        {
            "to-low": [{"n": 1}],
            "to-odd": [{"n": 3}],
            "to-otherwise": [{"n": 2}],
            "dead": [("Split", 1, 'Key not found in map: "n"')],
            "items&group=g": [],
        },
        "Read 4, Split 4 3 1, Write low 1 1, Write odd 1 1, Write otherwise 1 1, DeadLetters/Park 1 1",
    ),
    "shard_queue": Case(
        [
            "--input={topic}items&group=g",
            "--shards=2",
            "--key=item.user",
            "--output={topic}shard-",
            "--dead_letters={topic}dead",
        ],
        {"items": [{"user": name} for name in ("ann", "bob", "cho", "dan")] + [{}]},
        {
            "shard-0": [{"user": "ann"}, {"user": "bob"}],
            "shard-1": [{"user": "cho"}, {"user": "dan"}],
            "dead": [("Shard", 1, 'Key not found in map: "user"')],
            "items&group=g": [],
        },
        "Read 5, Shard 5 4 1, Write 0 2 2, Write 1 2 2, DeadLetters/Park 1 1",
    ),
    "merge_queues": Case(
        ["--inputs={topic}left&group=g {topic}right&group=g", "--output={topic}all", "--dead_letters={topic}dead"],
        {"left": [{"n": 1}], "right": [{"n": 2}, b"3 \xff"]},
        {"all": [b"3 \xff", {"n": 1}, {"n": 2}], "left&group=g": [], "right&group=g": []},
        "Read 1 1, Read 2 2, Merge 3 3, Write 3 3",
    ),
    "replay_dead_letters": Case(
        ["--dead_letters={topic}dead&group=g", '--where=error_message == "busy"'],
        {"dead": [letter(1, "busy"), letter(2, "broken"), letter(3, "busy")], "orders": []},
        {"orders": [1, 3], "dead&group=g": [("Work", 1, "broken")]},
        "ReadLetters 3, Choose 3 3, Send 2 2, PutBack 1 1",
    ),
}


def filled(text: str, folder: Path) -> str:
    """With {here} and {topic} filled in."""
    return text.replace("{here}", str(folder)).replace("{topic}", f"sqlite://{folder}/queues.db?topic=")


def put(folder: Path, name: str, content: Any) -> None:
    """Makes what a case finds: a tuple is what a video is made with."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Traffic):
        picture, _ = runpy.run_path(str(ROOT / "examples" / "traffic.py"))["scene"](content.seed)
        picture.save(path)
    elif isinstance(content, tuple):
        videos.make(path, *content)
    else:
        writer = open_queue(filled("{topic}", folder) + name).writer()
        writer.write([_message(each, folder) for each in content])
        assert not writer.flush()
        writer.close()


def _message(content: Any, folder: Path) -> Message:
    if isinstance(content, dict):
        return Message(filled(json.dumps(content), folder).encode())
    return content if isinstance(content, Message) else Message(content)


def found(folder: Path, name: str) -> Any:
    """What lies under a name, in an order of its own; of what a restarted job wrote twice, one, by its message_id."""
    path = folder / name
    if name.endswith("/"):
        return sorted(each.name for each in path.iterdir() if each.name[0] != ".")
    if name == "outbox":
        return sorted((mail["To"], mail["Subject"]) for mail in mailbox.Maildir(path))
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".html":
        return "the page" if path.read_text().rstrip().endswith("</html>") else "half a page"
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    topic = filled("{topic}", folder) + name
    queue = open_queue(str(path) if path.suffix else topic if "&" in name else f"{topic}&group=look")
    messages = [message for split in queue.splits() for batch in queue.read(split) for message in batch]
    once = {message.attribute("message_id") or message.source: message for message in messages}
    return sorted((_seen(message, name) for message in once.values()), key=str)


def _seen(message: Message, name: str) -> Any:
    if "dead" in name:
        letter = DeadLetter.from_message(message)
        return letter.step, letter.attempts, letter.error_message
    try:
        return message.json()
    except ValueError:
        return message.value
