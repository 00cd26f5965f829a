"""Pub/Sub runs that are killed at random times."""

import random

import pytest

from beam_patterns.transforms.queues import Message
from tests import SOAK
from tests.servers.pubsub import Service
from tests.transforms.queues.pubsub.pubsub_between import Between, killed, numbered, publish, start, values

pytestmark = [pytest.mark.integration, pytest.mark.soak]

KILLS = 5 * SOAK


@pytest.mark.parametrize("form", ["straight", "grouped"])
def test_after_kills_every_message_has_its_output_and_one_id(pubsub: Service, form: str) -> None:
    between, kills, count = Between(pubsub), 0, 0
    moments = random.Random(7)  # The same in every run.
    while kills < KILLS:
        new = [Message(b"%d" % n) for n in range(count, count + 150)]
        assert publish(pubsub.uri(between.topic), new) == []
        count += len(new)
        child = start(form, pubsub.uri(between.source, idle="1"), pubsub.uri(between.target))
        kills += killed(child, moments.uniform(1, 9))
    between.run_out(form)

    written = between.written()
    ids = {message.attribute("message_id"): message.value for message in written}
    assert set(values(written)) == set(values(numbered(count)))
    assert sorted(ids.values()) == sorted(values(numbered(count)))
