"""WriteToQueue(uri, topic=...): a Kafka topic for each message."""

import pytest

from beam_patterns.testing import run_pattern
from beam_patterns.transforms.queues import Message, WriteToQueue
from tests.servers.kafka import Cluster
from tests.streams import bounded
from tests.transforms.queues.kafka.test_kafka import client, everything

__all__ = ["client"]


def named(message: Message) -> str:
    """The topic that the message names."""
    return message.json()["topic"]


@pytest.mark.integration
def test_each_message_is_written_to_its_topic_or_becomes_a_dead_letter_alone(kafka: Cluster) -> None:
    first, second = kafka.topic(), kafka.topic()
    places = [first, second, f"{first}-not", "no topic", first, second, first]
    messages = [Message.of({"topic": place, "n": n}) for n, place in enumerate(places)]
    messages.append(Message(b"broken"))
    write = WriteToQueue(kafka.uri("any"), topic=named)
    run = run_pattern(write, messages, bounded)
    assert [m.json()["n"] for m in everything(kafka, first)] == [0, 4, 6]
    assert [m.json()["n"] for m in everything(kafka, second)] == [1, 5]
    reasons = {letter.payload: letter.error_message for letter in run.dead}
    assert set(reasons) == {messages[2].value, messages[3].value, b"broken"}
    missing = f"has no topic '{first}-not', or hides it from this user (did you mean '{first}'?)"
    assert missing in reasons[messages[2].value]
    assert "names the topic 'no topic'" in reasons[messages[3].value]
    assert (run.counters["WriteToQueue", "in"], run.counters["WriteToQueue", "out"]) == (8, 5)
    assert run.counters["WriteToQueue", "dead"] == 3


def test_wrong_use_is_refused_at_construction() -> None:
    with pytest.raises(
        ValueError, match=r"the queue memory://orders is written as a whole: topic=\.\.\. is for kafka://"
    ):
        WriteToQueue("memory://orders", topic=named)
    with pytest.raises(TypeError, match="expects a function of one Message, not 'orders'"):
        WriteToQueue("kafka://localhost:9092/any", topic="orders")  # type: ignore[arg-type]
