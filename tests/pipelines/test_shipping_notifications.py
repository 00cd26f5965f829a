"""Shipped orders, from a queue to mails and text messages."""

import json
import os
import random
import runpy
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from beam_patterns.pipelines.parts.shipping.notices import Notices
from beam_patterns.pipelines.shipping_notifications import TOKEN, ShippingNotificationsOptions
from beam_patterns.transforms.queues import Message
from tests import ROOT
from tests.servers import wait_until

from .orders import Place, Provider, order
from .test_new_user_signup_smtp import Server


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.integration
def test_every_customer_is_notified_as_they_chose(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    untold = [order("none"), order("silent", notify=None), order("fax", "fax")]
    place.put(
        "orders",
        order("mail", "email"),
        order("text", "sms"),
        order("both", "email", "sms"),
        order("packed", "email", "sms", status="packed"),
        order("faxed", "fax", "email"),
        order("both", "email", "sms", name="Ann again"),
        *untold,
    )
    assert place.run() == 0
    assert sorted(mail["To"] for mail in place.mails()) == [
        "Ann Smith <both@example.com>",
        "Ann Smith <faxed@example.com>",
        "Ann Smith <mail@example.com>",
    ]
    link = "https://shop.example/orders"
    assert sorted(place.data("texts"), key=str) == [
        {
            "order_id": number,
            "to": "+4930123456",
            "text": f"Your order {number} is on its way with DHL. {link}/{number}",
        }
        for number in ("both", "text")
    ]
    assert sorted(place.data("untold"), key=str) == sorted(untold, key=str)
    assert place.dead() == []
    shown = capsys.readouterr().out
    assert "email 3, sms 2, otherwise 3" in shown
    assert "in = out + dropped + dead + duplicates at every step" in shown


@pytest.mark.integration
def test_a_notice_that_cannot_be_sent_is_a_dead_letter_and_the_other_channel_still_works(place: Place) -> None:
    place.put(
        "orders",
        b'{"order_id": ',
        order("x", "email", order_id=None),
        order("both", "email", notify="both"),
        order("half", "email", "sms", email="nobody"),
        order("mute", "sms", phone=None),
        order("bcc", "email", carrier="DHL\r\nBcc: everybody@example.com"),
    )
    assert place.run() == 0
    assert place.mails() == []
    assert [text["order_id"] for text in place.data("texts")] == ["half"]
    assert sorted((d.step, d.attempts, d.error_message) for d in place.dead()) == [
        ("Email", 1, "'carrier' is 'DHL\\r\\nBcc: everybody@example.com', not a line of text"),
        ("Email", 1, "'email' is 'nobody', which can't be an address"),
        ("Shipped", 1, "'notify' is 'both', not a list of channels such as [\"email\", \"sms\"]"),
        ("Shipped", 1, "not valid JSON: unexpected end of data: line 1 column 14 (char 13)"),
        ("Shipped", 1, "the field 'order_id' is missing"),
        ("Text", 1, "the field 'phone' is missing; in stage 'compose'"),
    ]


@pytest.mark.integration
def test_a_repeated_run_and_a_repeated_order_send_no_notice_twice(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.put("orders", *(order(str(number), "email", "sms") for number in range(5)))
    assert place.run() == 0
    place.put("orders", order("3", "email", "sms", name="Ann by another name"), order("5", "sms"))
    assert place.run(orders=place.uri("orders") + "&group=another") == 0  # Reads all of them again.
    assert len(place.mails()) == 5
    assert sorted(text["order_id"] for text in place.data("texts")) == ["0", "1", "2", "3", "4", "5"]
    assert "skipped 5" in capsys.readouterr().out
    for mail in (place.outbox / "new").iterdir():  # As a user deletes them.
        mail.unlink()
    assert place.run(orders=place.uri("orders") + "&group=third") == 0
    assert place.mails() == []


@pytest.mark.integration
def test_a_name_cannot_add_a_header(place: Place) -> None:
    tricky = "=?utf-8?q?Ann=0D=0ABcc=3A_x=40example=2Ecom?="
    place.put("orders", order("1", "email", name=tricky))
    assert place.run() == 0
    (mail,) = place.mails()
    assert (mail["Bcc"], mail["To"]) == (None, "1@example.com")


def test_the_same_order_has_the_same_ids_in_every_message_and_run() -> None:
    notices = Notices("Shop <hello@shop.example>", "https://shop.example")
    first, again = (Message(json.dumps(order("A/1", "email")).encode(), source=("q", 0, offset)) for offset in (1, 77))
    mails = [notices.mail(message)["Message-ID"] for message in (first, again)]
    assert mails[0] == mails[1] and mails[0].endswith("@shop.example>")
    assert notices.text(first) == notices.text(again)
    assert "https://shop.example/orders/A%2F1" in notices.text(first).json()["text"]
    other = Message(json.dumps(order("A/2", "email")).encode())
    assert notices.mail(other)["Message-ID"] != mails[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"texts": "ftp://texts.example"}, "--texts: the queue ftp://texts.example starts with ftp://"),
        ({"texts": "https://user:pass@texts.example"}, "--texts: HttpWorker(https://texts.example)"),
        ({"texts": "memory://texts"}, "--texts: memory://texts exists in one process only"),
        ({"texts": "http.jsonl", "untold": "http.jsonl"}, "--untold and --texts are both http.jsonl; use a queue"),
        ({"mail": "imap://x"}, "--mail: 'imap://x' is neither a folder nor smtp://host:port"),
        ({"sender": "nobody"}, "--sender: 'nobody' is not a name and address"),
        ({"orders": "kafka://h:1/orders"}, "--orders: 'kafka://h:1/orders' names no group, under which"),
        ({"streaming": "true"}, "--orders: sqlite://"),
    ],
)
def test_wrong_options_are_errors_before_anything_starts(place: Place, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError) as raised:
        ShippingNotificationsOptions.parse(place.arguments(**changes))
    assert str(raised.value).startswith(sentence)


def test_an_output_cannot_be_the_input(place: Place) -> None:
    for name in ("texts", "untold", "dead_letters"):
        with pytest.raises(ValueError, match=f"--{name} would be written to"):
            ShippingNotificationsOptions.parse(place.arguments(**{name: place.uri("orders")}))


@pytest.mark.integration
def test_servers_get_each_notice_once_and_refused_notices_become_dead_letters(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "secret")
    place.put(
        "orders",
        order("1", "email", "sms", phone="+49301503503"),
        order("2", "email", "sms", email="nobody@example.com"),
        order("3", "email", "sms", phone="+49301000000"),
        order("4", "email", email="later@example.com"),
    )
    with Provider() as provider, _smtp() as smtp:
        for group in ("a", "b"):
            assert place.run(mail=smtp.uri, texts=provider.url, orders=place.uri("orders") + f"&group={group}") == 0
        assert sorted(to for to, _, _ in smtp.accepted) == ["1@example.com", "3@example.com", "later@example.com"]
        assert sorted(text["order_id"] for _, text in provider.requests) == ["1", "2"]
        assert provider.tokens == {"Bearer secret"}
    refused = [
        ("Email", 1, f"{smtp.uri} refused Ann Smith <nobody@example.com>: 550 5.1.1 no such user here"),
        ("Text", 1, f"{provider.url} answered 422 Unprocessable Entity; in stage 'send'"),
    ]
    assert sorted((d.step, d.attempts, d.error_message) for d in place.dead()) == sorted(2 * refused)


class _smtp(Server):  # noqa: N801 (used as a function)
    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()


@pytest.mark.integration
def test_kills_repeat_at_most_the_notices_in_flight_and_lose_none(place: Place) -> None:
    examples = runpy.run_path(str(ROOT / "examples" / "orders.py"))
    messages = [message.value for message in examples["orders"](1600)]
    place.put("orders", *messages)
    due: dict[str, set[str]] = {"email": set(), "sms": set()}
    for value in messages:
        try:
            data = json.loads(value)
            if data["order_id"] and data["status"] == "shipped" and isinstance(data["notify"], list):
                for channel in data["notify"]:
                    due[channel].add(data["order_id"])
        except (ValueError, TypeError):
            continue
    chance, kills = random.Random(3), 5
    with Provider() as provider, _smtp() as smtp:
        sent = lambda: len(provider.requests) + len(smtp.accepted)  # noqa: E731
        for _ in range(kills):
            before, process = sent(), place.start(mail=smtp.uri, texts=provider.url)
            wait_until(lambda: sent() > before or process.poll() is not None, "the first notice")  # noqa: B023
            assert process.poll() is None, "the run ended before it could be killed; give it more to do"
            time.sleep(chance.uniform(0, 0.3))  # A random moment of the run.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert place.run(mail=smtp.uri, texts=provider.url) == 0
        dead = {json.loads(d.payload)["order_id"] for d in place.dead() if d.step in ("Email", "Text")}
        mails = Counter(message_id for _, _, message_id in smtp.accepted)
        texts = Counter(key for key, _ in provider.requests)
        assert {text["order_id"] for _, text in provider.requests} == due["sms"] - dead
        assert len(mails) == len(due["email"] - dead)
        assert len(texts) == len(due["sms"] - dead)
        most = kills * (os.cpu_count() or 1)  # One item in each worker, under the same key.
        assert mails.total() - len(mails) <= most and texts.total() - len(texts) <= most


@pytest.mark.integration
def test_servers_that_are_down_make_dead_letters_that_can_be_sent_later(place: Place) -> None:
    place.put("orders", order("1", "email", "sms"))
    with Provider() as provider, _smtp() as smtp:
        urls = {"mail": smtp.uri, "texts": provider.url}
    assert place.run(**urls) == 0
    assert sorted((d.step, d.attempts, d.error_type.rpartition(".")[2]) for d in place.dead()) == [
        ("Email", 5, "QueueError"),
        ("Text", 5, "HttpError"),
    ]
    assert place.run(orders=place.uri("orders") + "&group=again") == 0
    assert [mail["To"] for mail in place.mails()] == ["Ann Smith <1@example.com>"]
    assert [text["order_id"] for text in place.data("texts")] == ["1"]
