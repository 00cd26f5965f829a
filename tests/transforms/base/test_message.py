"""Message: the element of every queue."""

import pickle

import pytest
from apache_beam.coders import registry
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.transforms.queues import MESSAGE_ID, Message

attributes = st.lists(st.tuples(st.text(), st.binary()), max_size=4).map(tuple)
messages = st.builds(
    Message,
    value=st.none() | st.binary(),
    key=st.none() | st.binary(),
    attributes=attributes,
    timestamp=st.none() | st.floats(allow_nan=False),
    source=st.none() | st.tuples(st.text(), st.integers(0, 2**31), st.integers(0, 2**62)),
)


def one_partition(several, topic):
    """Messages with the sources of one partition, like a batch from Kafka."""
    return [m._replace(source=(topic, 3, n), attributes=()) for n, m in enumerate(several)]


@given(messages)
def test_the_coder_and_pickle_keep_any_message(message):
    coder = registry.get_coder(Message)
    assert coder.decode(coder.encode(message)) == message
    assert pickle.loads(pickle.dumps(message)) == message
    assert type(coder.decode(coder.encode(message))) is Message


@given(messages)
def test_an_id_is_deterministic_and_changes_nothing_else(message):
    once = message.with_id()
    assert once == message.with_id()
    assert once.with_id() == once
    assert once._replace(attributes=()) == message._replace(attributes=())
    assert [pair for pair in once.attributes if pair[0] != MESSAGE_ID] == [
        pair for pair in message.attributes if pair[0] != MESSAGE_ID
    ]


@pytest.mark.integration
@given(st.lists(messages, max_size=8) | st.builds(one_partition, st.lists(messages, max_size=8), st.text()))
def test_with_ids_makes_the_same_ids_as_with_id(several):
    assert Message.with_ids(several) == [message.with_id() for message in several]


def test_different_results_of_one_message_have_different_ids():
    source = Message(b"ann", source=("signups", 0, 7))
    mail, text = (source._replace(value=value).with_id() for value in (b"mail to ann", b"text to ann"))
    assert mail.attribute(MESSAGE_ID) == b"signups/0/7-8c689cd5"
    assert mail.attribute(MESSAGE_ID) != text.attribute(MESSAGE_ID)


def test_a_tombstone_has_no_json():
    with pytest.raises(ValueError, match=r"^the message has no payload \(a tombstone\), so it holds no JSON$"):
        Message(None).json()


def test_setting_an_attribute_replaces_all_attributes_of_that_name():
    message = Message(b"", attributes=(("a", b"1"), ("b", b"2"), ("a", b"3")))
    assert message.attribute("a") == b"3"
    assert message.with_attributes(a=b"4").attributes == (("b", b"2"), ("a", b"4"))
