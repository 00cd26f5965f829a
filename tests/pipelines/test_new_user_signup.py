"""The sign-up flow from queues to mails."""

import email.policy
import mailbox
import re
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines.new_user_signup import new_user_signup
from beam_patterns.pipelines.parts.mail import open_outbox
from beam_patterns.pipelines.parts.signup.records import CONFIRMATION, SIGNUP, ToEvent, pending_event
from beam_patterns.pipelines.parts.signup.texts import Texts
from beam_patterns.transforms import DeadLetters
from beam_patterns.transforms.queues import Message

from .signups import VERIFY, WELCOME, Place, as_json, confirmation, signup


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.integration
def test_every_user_gets_the_right_mails_and_subscriptions(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(
        "signups",
        signup("ann", sms_opt_in=True),
        signup("bob", email_opt_in=False),
        signup("cho", email_opt_in=False, sms_opt_in=True),
        signup("dan"),
        signup("ann", sms_opt_in=True, name="Ann again"),
        signup("eve", phone=None),
        b'{"user_id": "fay", ',
        signup("gus", email=None),
        signup("hal", email="hal at home"),
    )
    place.put("confirmations", *map(confirmation, ["ann", "bob", "cho", "eve", "ann", "zoe"]), b"[1]")
    assert place.run() == 0
    users = ("ann", "bob", "cho", "dan", "eve")
    assert place.mailed() == sorted(
        [(f"{user}@example.com", VERIFY) for user in users]
        + [(f"{user}@example.com", WELCOME) for user in users if user != "dan"]
    )
    assert place.subscriptions() == [
        ("ann", "email", "ann@example.com"),
        ("ann", "sms", "+4930123456"),
        ("cho", "sms", "+4930123456"),
        ("eve", "email", "eve@example.com"),
    ]
    assert sorted(text["user_id"] for text in place.data("texts")) == ["ann", "cho"]
    assert place.waiting() == [("dan", "sign-up"), ("zoe", "confirmation")]
    assert sorted((d.payload, d.step, d.error_message) for d in place.dead()) == sorted(
        [
            (b"[1]", "CheckConfirmations", "not a JSON object but list"),
            (as_json(signup("gus", email=None)), "CheckSignups", "the field 'email' is missing"),
            (
                b'{"user_id": "fay", ',
                "CheckSignups",
                "not valid JSON: unexpected end of data: line 1 column 20 (char 19)",
            ),
            (
                as_json(signup("hal", email="hal at home")),
                "CheckSignups",
                "'email' is 'hal at home', which can't be an address",
            ),
        ]
    )
    assert "in = out + dropped + dead + duplicates at every step" in capsys.readouterr().out


@pytest.mark.integration
def test_three_runs_welcome_every_user_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put("signups", signup("ann"), signup("bob"), signup("cho"))
    place.put("confirmations", confirmation("ann"))
    assert place.run() == 0
    first = place.mailed()
    capsys.readouterr()
    assert place.run() == 0
    assert capsys.readouterr().out.splitlines() == [
        f"nothing new in {place.uri('signups')}&group=g",
        f"nothing new in {place.uri('confirmations')}&group=g",
        f"2 wait for their partner in {place.uri('pending')}&group=new_user_signup",
    ]
    assert place.mailed() == first
    place.put("confirmations", confirmation("bob"))
    assert place.run() == 0
    assert place.mailed() == sorted([*first, ("bob@example.com", WELCOME)])
    assert place.waiting() == [("cho", "sign-up")]
    assert place.subscriptions() == [("ann", "email", "ann@example.com"), ("bob", "email", "bob@example.com")]


@pytest.mark.integration
def test_a_confirmation_that_comes_before_its_signup_is_not_lost(place: Place) -> None:
    place.put("confirmations", confirmation("ann"))
    assert place.run() == 0
    assert place.waiting() == [("ann", "confirmation")]
    place.put("signups", signup("ann"))
    assert place.run() == 0
    assert place.mailed() == [("ann@example.com", VERIFY), ("ann@example.com", WELCOME)]
    assert place.waiting() == []


@pytest.mark.integration
def test_a_record_that_waits_too_long_expires_and_is_counted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put("signups", signup("ann"))
    place.put("confirmations", confirmation("zoe"))
    assert place.run() == 0
    assert place.run("--expire_after", "1h") == 0
    assert place.waiting() == [("ann", "sign-up"), ("zoe", "confirmation")]
    capsys.readouterr()
    assert place.run("--expire_after", "0s") == 0
    assert "expired 2" in capsys.readouterr().out
    assert place.waiting() == []
    assert sorted(expired["user_id"] for expired in place.data("expired")) == ["ann", "zoe"]
    assert place.mailed() == [("ann@example.com", VERIFY)]


@pytest.mark.integration
def test_a_signup_that_is_repeated_in_a_later_run_gets_no_second_mail(place: Place) -> None:
    place.put("signups", signup("ann"))
    assert place.run() == 0
    place.put("signups", signup("ann", name="Ann again"))
    assert place.run() == 0
    place.put("confirmations", confirmation("ann"))
    assert place.run() == 0
    assert place.mailed() == [("ann@example.com", VERIFY), ("ann@example.com", WELCOME)]
    assert "Hello Ann," in place.mails()[0].get_payload()


@pytest.mark.integration
def test_a_mail_that_was_read_or_deleted_is_not_delivered_again(place: Place) -> None:
    place.put("signups", signup("ann"), signup("bob"))
    assert place.run() == 0
    (place.outbox / "sent.db").unlink()  # As if the run had been killed before it recorded them.
    outbox = mailbox.Maildir(place.outbox)
    for key, mail in outbox.items():
        mail.set_subdir("cur")
        mail.add_flag("S")
        outbox[key] = mail
    place.put("signups", signup("ann"), signup("bob"))
    assert place.run() == 0
    assert len(place.mails()) == 2
    outbox.clear()
    place.put("signups", signup("ann"), signup("bob"))
    assert place.run() == 0
    assert place.mails() == []


@pytest.mark.integration
def test_bytes_that_are_not_text_are_in_the_dead_letters_unchanged(place: Place) -> None:
    broken = [b"\xff\xfe\x00", b"null", b"", as_json(signup("ann", name="Ann\r\nBcc: all@example.com"))]
    place.put("signups", *broken)
    assert place.run() == 0
    assert sorted(letter.payload for letter in place.dead()) == sorted(broken)
    assert place.mails() == []


_ANN = as_json(signup("ann"))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "content", "mails", "reasons"),
    [
        ("empty.jsonl", b"", 0, []),
        ("empty.csv", b"", 0, []),
        ("empty.parquet", b"", 0, []),
        (
            "long.jsonl",
            b"%b\n%b\n" % (as_json(signup("bob", name="b" * 20_000_000)), _ANN),
            1,
            ["'name' is 'bbbbbbbb"],
        ),
        (
            "invalid.jsonl",
            b"\xff\xfe\n%b\n" % _ANN,
            1,
            ["not valid JSON: str is not valid UTF-8: surrogates not allowed: line 1 column 1 (char 0)"],
        ),
        ("null.jsonl", b"null\n%b\n" % _ANN, 1, ["not a JSON object but NoneType"]),
        ("truncated.parquet", b"PAR1" + bytes(1000), 0, ["the file {} is not a complete Parquet file: "]),
    ],
)
def test_of_a_bad_file_only_the_bad_records_are_lost(
    place: Place, name: str, content: bytes, mails: int, reasons: list[str]
) -> None:
    file = place.folder / name
    file.write_bytes(content)
    assert place.run("--signups", str(file)) == 0
    assert len(place.mails()) == mails
    for letter, reason in zip(place.dead() if reasons else [], reasons, strict=True):
        assert letter.error_message.startswith(reason.format(file))


def test_a_folder_in_place_of_a_file_is_one_sentence(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put("signups", signup("ann"))
    folder = place.folder / "a.jsonl"
    folder.mkdir()
    for option in ("--signups", "--dead_letters"):
        assert place.run(option, str(folder), "--quiet", "true") == 1
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert f"{folder} is a folder; name another path" in shown.err
    assert place.mails() == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ((), "--signups: sqlite:///.* can't be followed; use kafka:// or pubsub://, or leave --streaming out"),
        (
            ("--pending", "sqlite:///w.db?topic=w&group=g"),
            "--pending: a stream keeps waiting records in its state; leave out --pending sqlite:///w.db",
        ),
        (("--expire_after", "0s"), "--expire_after: with 0s no sign-up in a stream is ever confirmed"),
    ],
)
def test_options_that_make_no_sense_in_a_stream_are_errors(
    place: Place, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], reason: str
) -> None:
    assert place.run("--streaming", "true", "--runner", "PrismRunner", *more) == 2
    assert re.match(reason, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "topic", "reason"),
    [
        ("dead_letters", "signups", "--dead_letters would be written to .*signups, from which --signups is read"),
        ("dead_letters", "pending", "--dead_letters would be written to .*pending, from which --pending is read"),
        ("dead_letters", "texts", "--output with texts and --dead_letters are both .*texts; use a queue for each"),
        ("confirmations", "signups&group=g", "--signups and --confirmations are both .*; use a queue for each"),
    ],
)
def test_a_queue_cannot_be_used_twice(
    place: Place, capsys: pytest.CaptureFixture[str], name: str, topic: str, reason: str
) -> None:
    assert place.run(f"--{name}", place.uri(topic)) == 2
    assert re.match(reason, capsys.readouterr().err)


@pytest.mark.integration
def test_the_graph_has_no_queues_in_it() -> None:
    texts = Texts("Shop <hello@shop.example>", "https://shop.example")
    messages = [Message(as_json(signup("ann"))), Message(as_json(signup("bob")))]
    with beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler(DeadLetters()) as dead:
            flow = new_user_signup(
                p | "S" >> beam.Create(messages),
                p | "C" >> beam.Create([Message(as_json(confirmation("bob")))]),
                p | "P" >> beam.Create([Message(None)]),
                dead=dead,
                texts=texts,
                now=1000.0,
                expire_after=timedelta(days=1),
            )
        names = {name: stream | f"{name}?" >> beam.Map(_user) for name, stream in flow._asdict().items()}
        assert_that(names["verification"], equal_to(["ann", "bob"]), "verification")
        assert_that(names["welcome"], equal_to(["bob"]), "welcome")
        assert_that(names["subscriptions"], equal_to(["bob"]), "subscriptions")
        assert_that(names["pending"], equal_to(["ann"]), "pending")
        assert_that(names["expired"], equal_to([]), "expired")
        assert_that(dead.output() | beam.Map(lambda d: d.step), equal_to(["CheckPending"]), "dead")


def _user(message: Message) -> str:
    return message.json()["user_id"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, "the field 'user_id' is missing"),
        ({"user_id": ""}, "'user_id' is '', not a line of text"),
        ({"user_id": True}, "'user_id' is 'True', not a line of text"),
        ({"name": "a\nb"}, "'name' is 'a\\nb', not a line of text"),
        ({"email": "ann@localhost"}, "'email' is 'ann@localhost', which can't be an address"),
        ({"email": "ann@@example.com"}, "'email' is 'ann@@example.com', which can't be an address"),
        ({"email": "ann@exam ple.com"}, "'email' is 'ann@exam ple.com', which can't be an address"),
        ({"email": ".ann@example.com"}, "'email' is '.ann@example.com', which can't be an address"),
        ({"email": "ann@-example.com"}, "'email' is 'ann@-example.com', which can't be an address"),
        ({"email": "ann@192.168.0.1"}, "'email' is 'ann@192.168.0.1', which can't be an address"),
        ({"email": 7}, "'email' is '7', not a line of text"),
        ({"email_opt_in": "yes"}, "'email_opt_in' is 'yes', neither true nor false"),
        ({"sms_opt_in": None}, "the field 'sms_opt_in' is missing"),
        ({"sms_opt_in": True, "phone": None}, "'sms_opt_in' is true, but 'phone' is missing, which text messages need"),
        ({"phone": "call me"}, "'phone' is 'call me', which can't be a telephone number"),
        ({"signed_up_at": "soon"}, "'signed_up_at' is 'soon', not a time such as 2026-03-01T09:30:00Z"),
    ],
)
def test_an_invalid_signup_is_an_error_with_the_reason(changes: dict, reason: str) -> None:
    with pytest.raises(ValueError) as raised:
        ToEvent(SIGNUP)(Message(as_json(signup("ann", **changes))))
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    "email", ["ann@example.com", "a.b+c@mail.example.co.uk", "o'hara@example.ie", "ann@bücher.example"]
)
def test_a_valid_address_is_accepted(email: str) -> None:
    assert ToEvent(SIGNUP)(Message(as_json(signup("ann", email=email))))


def test_confirmations_and_pending_records_are_checked_too() -> None:
    with pytest.raises(ValueError, match="the field 'confirmed_at' is missing"):
        ToEvent(CONFIRMATION)(Message(b'{"user_id": "ann"}'))
    with pytest.raises(ValueError, match="not a pending record"):
        pending_event(Message(as_json(signup("ann"))))


_HEADERS = [
    "Auto-Submitted",
    "Content-Transfer-Encoding",
    "Content-Type",
    "Date",
    "From",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Message-ID",
    "Subject",
    "To",
]


def test_a_name_cannot_add_a_header_to_a_mail() -> None:
    texts = Texts("Shop <hello@shop.example>", "https://shop.example")
    for name in (
        'Ann" <eve@evil.example>',
        "Ann, eve@evil.example",
        "=?utf-8?q?Ann=0ABcc=3A_eve=40evil.example?=",
        "Zoë Ø",
    ):
        mail = parsed(texts.welcome(Message(as_json(signup("ann", name=name)))))
        (to,) = mail["To"].addresses
        assert to.addr_spec == "ann@example.com"
        assert mail["Bcc"] is None
        assert sorted(mail.keys()) == _HEADERS
    with pytest.raises(ValueError, match="cannot contain CR or LF"):
        texts.welcome(Message(as_json(signup("ann", name="Ann\r\nBcc: eve@evil.example"))))


def test_a_mail_is_correct_in_any_language() -> None:
    texts = Texts("Bücher <hello@shop.example>", "https://shop.example")
    mail = parsed(texts.welcome(Message(as_json(signup("a/b", name="Søren Ångström", email="ann@bücher.example")))))
    assert mail["To"].addresses[0].display_name == "Søren Ångström"
    assert mail["To"].addresses[0].addr_spec == "ann@xn--bcher-kva.example"
    assert mail["List-Unsubscribe"] == "<https://shop.example/unsubscribe/a%2Fb>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.get_content().startswith("Hello Søren Ångström,\n\nyour address is confirmed. Welcome!\n")


def test_a_user_who_did_not_opt_in_gets_no_unsubscribe_header() -> None:
    mail = Texts("a@shop.example", "https://shop.example").welcome(Message(as_json(signup("ann", email_opt_in=False))))
    assert mail["List-Unsubscribe"] is None


def test_the_same_mail_has_the_same_id_and_other_mails_have_others() -> None:
    texts = Texts("a@shop.example", "https://shop.example")
    ann, bob = Message(as_json(signup("ann"))), Message(as_json(signup("bob")))
    ids = [texts.welcome(ann), texts.welcome(ann), texts.verification(ann), texts.welcome(bob)]
    first, again, other_kind, other_user = (mail["Message-ID"] for mail in ids)
    assert first == again
    assert len({first, other_kind, other_user}) == 3


def test_two_outboxes_on_one_maildir_deliver_a_mail_once(tmp_path: Path) -> None:
    mail = Texts("a@shop.example", "https://shop.example").welcome(Message(as_json(signup("ann"))))
    outboxes = [open_outbox(str(tmp_path / "box"), str(tmp_path / f"{i}.db")) for i in range(2)]
    for outbox in outboxes:
        outbox.open()
        outbox.send(mail)
    for outbox in outboxes:
        outbox.flush()
        outbox.close()
    assert [str(found["Message-ID"]) for found in mailbox.Maildir(tmp_path / "box")] == [mail["Message-ID"]]
    assert list((tmp_path / "box" / "tmp").iterdir()) == []


def parsed(mail: EmailMessage) -> EmailMessage:
    """The mail as the recipient's program parses it."""
    return message_from_bytes(bytes(mail), policy=email.policy.default)
