"""Messages as lines of JSON."""

import math

import pytest
from hypothesis import assume, given

from beam_patterns.transforms.queues import Message, message_from_json, message_to_json
from tests.transforms.base.test_message import messages


@given(messages)
def test_every_message_comes_back(message: Message) -> None:
    assume(message.timestamp is None or math.isfinite(message.timestamp))
    line = message_to_json(message)
    assert b"\n" not in line
    assert message_from_json(line) == message


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"damaged", b"5", b"null", b"[]", b'"a"', b'{"price":1}'),
        *(b'{"value":5}', b'{"value":{"base":""}}', b'{"value":{"base64":"a"}}'),
        *(b'{"attributes":{"a":1}}', b'{"attributes":[["a"]]}', b'{"timestamp":"soon"}', b'{"source":1}'),
    ],
)
def test_any_other_text_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a message: "):
        message_from_json(line)
