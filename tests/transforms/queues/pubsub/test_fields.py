"""Messages as Pub/Sub stores them, and Pub/Sub's URIs, without a service."""

import pytest
from google.pubsub_v1.types import PubsubMessage
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from beam_patterns.transforms.queues.pubsub.fields import fields_of, message_of

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith("goog"))
VALUES = st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.just(b"base64:aGk=") | st.just(b"base64:?")
MESSAGES = st.builds(
    Message,
    st.none() | st.binary(max_size=50),
    st.none() | VALUES.filter(bool),
    st.dictionaries(NAMES, VALUES, max_size=5).map(lambda pairs: tuple(sorted(pairs.items()))),
    st.none(),
    st.none(),
)


def stored(message: Message) -> Message:
    """The message after conversion to Pub/Sub's fields and back, without the service's time and id."""
    data, attributes, ordering_key = fields_of(message)
    raw = PubsubMessage.pb(PubsubMessage(data=data, attributes=attributes, ordering_key=ordering_key))
    return message_of(raw, "tests/s")._replace(timestamp=None, source=None)


@given(MESSAGES)
def test_every_message_is_unchanged_by_conversion(message: Message) -> None:
    assert stored(message) == message


def test_text_stays_readable_and_other_bytes_become_base64() -> None:
    message = Message(b"x", b"\xff", (("a", b"text"), ("b", b"\xff"), ("c", b"base64:aGk=")))
    assert fields_of(message) == (
        b"x",
        {"a": "text", "b": "base64:/w==", "c": "base64:YmFzZTY0OmFHaz0="},
        "base64:/w==",
    )


def test_text_with_the_base64_prefix_that_is_not_base64_stays_text() -> None:
    raw = PubsubMessage.pb(PubsubMessage(data=b"x", attributes={"a": "base64: not at all"}))
    assert message_of(raw, "tests/s").attributes == (("a", b"base64: not at all"),)


def test_a_dead_letter_with_a_long_stack_fits() -> None:
    letter = DeadLetter.of(Message(b"x"), ValueError("é" * 3000), step="Decode")._replace(traceback="at ö\n" * 2000)
    fields = fields_of(letter.as_message())
    assert fields.attributes["__connect.errors.exception.message"] == "é" * 512
    stack = fields.attributes["__connect.errors.exception.stacktrace"]
    assert stack.endswith("at ö\n" * 170)
    assert 1018 < len(stack.encode()) <= 1024


def test_a_dead_letter_with_a_long_readable_form_fits() -> None:
    letter = DeadLetter.of({"name": "é" * 3000}, ValueError("no"), step="Decode")
    assert len(fields_of(letter.as_message()).attributes["readable"].encode()) == 1023


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(b"x", attributes=(("a", b"1"), ("a", b"2"))), "it has the attribute 'a' twice"),
        (Message(b"x", attributes=(("googclient", b"1"),)), "'googclient': it needs 1 to 256 bytes and must not begin"),
        (Message(b"x", attributes=(("", b"1"),)), "Pub/Sub does not allow the attribute name ''"),
        (Message(b"x", attributes=(("a" * 257, b"1"),)), "Pub/Sub does not allow the attribute name 'aaa"),
        (Message(b"x", attributes=(("a", b"1" * 1025),)), "the attribute 'a' has 1,025 bytes as text"),
        (Message(b"x", key=b"k" * 1025), "the key has 1,025 bytes as text, and Pub/Sub allows 1,024"),
        (Message(b"x", attributes=tuple((f"a{n}", b"") for n in range(101))), "it has 101 attributes"),
        (Message(b"x" * 10_000_000), "it has 10,000,032 bytes with its attributes, and Pub/Sub allows 10,000,000"),
    ],
    ids=range(8),
)
def test_a_message_above_a_limit_is_refused_with_the_limit(message: Message, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fields_of(message)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("pubsub://project", "names no project and subscription or topic; write pubsub://project/name"),
        ("pubsub:///orders", "names no project and subscription or topic"),
        ("pubsub://project/a/b", "names no project and subscription or topic"),
        ("pubsub://project/1st", "3 to 255 letters, digits, and ._~+%-, beginning with a letter"),
        ("pubsub://project/google", "has a name that begins with goog, which Pub/Sub reserves"),
        ("pubsub://project/orders?idle=0", "has idle=0; write seconds, at least 1, such as idle=30"),
        ("pubsub://project/orders?idle=soon", "has idle=soon; write seconds"),
        ("pubsub://project/orders?group=g", "has an unknown parameter 'group'; known are idle"),
    ],
)
def test_an_invalid_uri_is_refused_with_the_fix(uri: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("+", r"\+").replace("?", r"\?")):
        open_queue(uri)
