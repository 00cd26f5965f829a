"""The telemetry roll-up: bounded against DuckDB; windows, updates and late events in a stream."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import pytest
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.transforms.window import TimestampedValue
from hypothesis import given
from hypothesis import strategies as st

from beam_patterns.pipelines.parts.telemetry.events import Event
from beam_patterns.pipelines.parts.telemetry.rollup import RollUp
from beam_patterns.pipelines.runtime.queues import messages_of
from beam_patterns.pipelines.telemetry_rollup import TelemetryRollupOptions, build, run, telemetry_rollup
from beam_patterns.testing import run_pattern
from beam_patterns.transforms.queues import Message, open_queue
from tests import ROOT
from tests.running import Lists
from tests.servers import wait_until
from tests.servers.kafka import Cluster


def event(second: float, value: float = 1.0, **changes: Any) -> Message:
    """An event of the minute that begins at 12:00."""
    return Message.of({"metric": "load", "user": "ann", "value": value, "at": at(second), **changes})


def at(second: float) -> str:
    return f"1970-01-01T00:{int(second) // 60:02}:{second % 60:06.3f}+00:00"


def rolled(folder: Path, *more: str) -> list[dict[str, Any]]:
    arguments = ["--events", f"{folder}/events.jsonl", "--output", f"{folder}/out.jsonl", "--quiet", *more]
    assert run([*arguments, "--dead_letters", f"{folder}/dead.jsonl"]) == 0
    return [json.loads(line) for line in (folder / "out.jsonl").open()]


@pytest.mark.integration
def test_a_bounded_run_agrees_with_duckdb(tmp_path: Path) -> None:
    command = [sys.executable, "examples/telemetry.py", "--count", "20000", "--events", f"{tmp_path}/events.jsonl"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    windows = {(row["metric"], row["from"]): row for row in rolled(tmp_path, "--window", "10m")}
    dead = {json.loads(line)["payload"] for line in (tmp_path / "dead.jsonl").open()}
    lines = [line for line in (tmp_path / "events.jsonl").read_text().splitlines() if line not in dead]
    (tmp_path / "good.jsonl").write_text("\n".join(lines))
    assert 20 < len(dead) < 60
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = connection.execute(
        f"""SELECT metric, strftime(time_bucket(INTERVAL '10 minutes', "at"::TIMESTAMPTZ), '%Y-%m-%dT%H:%M:%S+00:00'),
                   count(*), sum(value::DOUBLE), min(value::DOUBLE), max(value::DOUBLE), count(DISTINCT "user"),
                   list(value::DOUBLE ORDER BY value::DOUBLE)
            FROM read_json('{tmp_path}/good.jsonl',
                           columns={{metric: 'TEXT', "user": 'TEXT', value: 'DOUBLE', "at": 'TEXT'}})
            GROUP BY 1, 2"""
    ).fetchall()
    assert {(metric, since) for metric, since, *_ in found} == set(windows)
    for metric, since, count, total, low, high, users, values in found:
        row = windows[metric, since]
        assert (row["count"], row["low"], row["high"]) == (count, low, high)
        assert row["sum"] == pytest.approx(total, rel=1e-12)
        assert row["users"] == pytest.approx(users, rel=0.04, abs=1)
        for name, share in {"p50": 0.50, "p95": 0.95, "p99": 0.99}.items():
            below, upto = (sum(map(test, values)) / count for test in (row[name].__gt__, row[name].__ge__))
            assert below - 0.02 <= share <= upto + 0.02, (metric, since, name)


@pytest.mark.integration
def test_an_invalid_event_is_a_dead_letter_with_the_reason(tmp_path: Path) -> None:
    bad = {
        "not a JSON object but list": Message(b"[1]"),
        "the field 'value' is 'fast', not a number": event(1, value="fast"),  # type: ignore[arg-type]
        "the field 'value' is True, not a number": event(1, value=True),
        "the field 'user' is None, not text": event(1, user=None),
        "the field 'at' is 'noon', not a time such as 2026-03-01T12:00:07Z": event(1, at="noon"),
        "the field 'at' is '2026-03-01T12:00:00', which has no time zone; append Z or +02:00": event(
            1, at="2026-03-01T12:00:00"
        ),
    }
    writer = open_queue(f"{tmp_path}/events.jsonl").writer()
    writer.write([*bad.values(), event(2)])
    writer.flush()
    (row,) = rolled(tmp_path)
    assert row["count"] == 1
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").open()]
    assert {letter["error_message"]: letter["payload"].encode() for letter in letters} == {
        reason: message.value for reason, message in bad.items()
    }


def test_a_bounded_run_writes_each_window_once_on_every_runner(pipeline: Any) -> None:
    messages = [event(1, 1.0), event(59, 2.0), event(61, 4.0)]
    run_ = run_pattern(
        lambda events, dead: {"windows": telemetry_rollup(events, window=60, lateness=0, dead=dead)},
        Lists(messages, Message),
        pipeline,
    )
    assert sorted((message.json()["from"], message.json()["sum"]) for message in run_["windows"]) == [
        ("1970-01-01T00:00:00+00:00", 3.0),
        ("1970-01-01T00:01:00+00:00", 4.0),
    ]


@pytest.mark.integration
def test_a_stream_writes_a_window_at_its_end_and_again_for_each_late_event_and_an_event_that_is_too_late_is_dead(
    streaming: Any,
) -> None:
    def arriving(second: float, message: Message) -> TimestampedValue:
        return TimestampedValue(message, second)

    stream = (
        Stream(coder=beam.coders.registry.get_coder(Message))
        .advance_watermark_to(0)
        .add_elements([arriving(5, event(1, 1.0)), arriving(6, event(2, 2.0))])
        .advance_watermark_to(61)
        .add_elements([arriving(65, event(3, 4.0)), arriving(66, event(62, 8.0))])  # The first is late, but in time.
        .advance_watermark_to(100)
        .add_elements([arriving(101, event(4, 16.0))])  # Too late: the window accepted events until 60 + 30.
        .advance_watermark_to_infinity()
    )
    run_ = run_pattern(
        lambda events, dead: {"windows": telemetry_rollup(events, window=60, lateness=30, dead=dead)}, stream, streaming
    )
    updates = defaultdict(list)
    for message in run_["windows"]:
        updates[message.key].append((message.json()["count"], message.json()["sum"]))
    assert {key: sorted(set(rows)) for key, rows in updates.items()} == {
        b"load/1970-01-01T00:00:00+00:00": [(2, 3.0), (3, 7.0)],
        b"load/1970-01-01T00:01:00+00:00": [(1, 8.0)],
    }
    (letter,) = run_.dead
    assert letter.payload == event(4, 16.0).value
    assert letter.error_message == ("the event came 11 s after its window closed for good at 1970-01-01T00:01:30+00:00")


@pytest.mark.integration
def test_between_kafka_topics_windows_are_written_while_the_stream_runs_and_an_old_event_is_dead(
    kafka: Cluster, streaming: Any
) -> None:
    source, output, dead = kafka.topic(2), kafka.topic(), kafka.topic()
    begin = int(time.time()) // 10 * 10 - 100

    def publish(second: float, came: float) -> None:
        when = datetime.fromtimestamp(begin + second, UTC).isoformat()
        writer.write([event(0, at=when)._replace(key=b"%d" % second, timestamp=begin + came)])

    writer = open_queue(kafka.uri(source)).writer()
    for second in range(25):
        publish(second, came=second)
    writer.flush()
    p = streaming()
    build(
        p,
        TelemetryRollupOptions(
            events=kafka.uri(source, group="rollup"),
            output=kafka.uri(output),
            dead_letters=kafka.uri(dead),
            window=timedelta(seconds=10),
            allowed_lateness=timedelta(seconds=30),
            streaming=True,
        ),
    )
    result = p.run()

    def windows() -> dict[str, int]:
        return {
            message.json()["from"]: message.json()["count"] for message in messages_of(kafka.uri(output, group="test"))
        }

    try:
        wait_until(lambda: sorted(windows().values()) == [5, 10, 10], "three windows")
        publish(3, came=100)
        writer.flush()
        wait_until(lambda: any(messages_of(kafka.uri(dead, group="test"))), "the dead letter")
    finally:
        result.cancel()
        writer.close()
    (letter,) = messages_of(kafka.uri(dead, group="test"))
    assert b"came 60 s after its window closed for good" in (
        letter.attribute("__connect.errors.exception.message") or b""
    )
    assert sorted(windows().values()) == [5, 10, 10]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), min_size=1), st.integers(1, 5))
def test_partial_results_merge_to_the_same_whatever_the_split(pairs: list[tuple[str, int]], parts: int) -> None:
    roll, kept = RollUp(), []
    for part in range(parts):
        accumulator = roll.create_accumulator()
        for user, value in pairs[part::parts]:
            accumulator = roll.add_input(accumulator, Event("m", user, float(value), 0.0))
        kept.append(accumulator)
    rolled_ = roll.extract_output(roll.merge_accumulators(kept))
    values = [value for _, value in pairs]
    assert (rolled_.count, rolled_.total, rolled_.low, rolled_.high, rolled_.users) == (
        len(values),
        sum(values),
        min(values),
        max(values),
        len({user for user, _ in pairs}),
    )


def test_wrong_options_are_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--events", "a.jsonl", "--output", "a.jsonl", "--dead_letters", "d.jsonl"]) == 2
    assert "--output would be written to a.jsonl, from which --events is read" in capsys.readouterr().err
    assert run(["--events", "a.jsonl", "--output", "b.jsonl", "--dead_letters", "d.jsonl", "--window", "0.5s"]) == 2
    assert "--window: a window lasts at least a second" in capsys.readouterr().err
    stream = ["--streaming", "--runner", "PrismRunner", "--events", "kafka://h:1/events?group=g"]
    assert run([*stream, "--output", "a.jsonl", "--dead_letters", "kafka://h:1/dead"]) == 2
    assert "--output: a.jsonl would be complete when the stream ends; use kafka://" in capsys.readouterr().err
