"""Dead letters are sent back: exactly the chosen ones, once, unchanged."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from beam_patterns.pipelines import replay_dead_letters
from beam_patterns.pipelines.parts.replay.letters import REPLAYS, identity, replays
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import MESSAGE_ID, Message, open_queue
from tests import ROOT

from . import parsing

AWKWARD = [b"\xff\xfe\x00 not UTF-8", b"<script>alert(1)</script><b>&amp;</b>", b"x" * 10_000_000, b"", None]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queues.db"


def put(database: Path, topic: str, *messages: Message) -> None:
    writer = open_queue(f"sqlite://{database}?topic={topic}").writer()
    writer.write(messages)
    assert writer.flush() == []
    writer.close()


def messages(database: Path, topic: str, group: str = "test") -> list[Message]:
    queue = open_queue(f"sqlite://{database}?topic={topic}&group={group}")
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def letters(database: Path, topic: str = "dead", group: str = "test") -> list[DeadLetter]:
    return [DeadLetter.from_message(message) for message in messages(database, topic, group)]


def letter(number: int, error: type[Exception] = ValueError, sent_back: int = 0, **changes: object) -> DeadLetter:
    count = ((REPLAYS, b"%d" % sent_back),) if sent_back else ()
    message = Message(b"%d" % number, b"k", (("lang", b"en"), *count), 5.0, ("orders", 0, number))
    made = DeadLetter.of(message, error(f"no {number}"), step="Work")
    return made._replace(last_failed_at=float(number), **changes)


def write_letters(database: Path, *dead: DeadLetter) -> None:
    put(database, "orders", Message(b"an item that is not a dead letter"))
    put(database, "dead", *(one.as_message() for one in dead))


def replay(database: Path, *arguments: str) -> int:
    return replay_dead_letters.run(["--dead_letters", f"sqlite://{database}?topic=dead&group=replay", *arguments])


def sent(database: Path) -> list[bytes | None]:
    return [message.value for message in messages(database, "orders")[1:]]


@pytest.mark.integration
def test_a_thousand_failures_of_five_kinds_are_resolved_by_one_replay_and_a_second_finds_nothing(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total = 100_000
    put(database, "orders", *(Message(b"item %d" % n, key=b"%d" % n) for n in range(total)))
    parsing.run(str(database), is_fixed=False)
    failed = letters(database)
    assert Counter(Counter(one.fingerprint for one in failed).values()) == {200: 5}
    assert {one.payload for one in failed} == {b"item %d" % n for n in range(0, total, 100)}
    assert len(messages(database, "parsed")) == total - 1000

    assert replay(database, "--dry_run") == 0
    shown = capsys.readouterr().out
    assert shown.count("       200       200         0             0  Check: ") == 5

    assert replay(database) == 0
    again = messages(database, "orders")[total:]
    assert sorted(m.value for m in again) == sorted(one.payload for one in failed)
    assert {m.attribute(REPLAYS) for m in again} == {b"1"}
    assert {m.attribute(MESSAGE_ID).decode() for m in again} == {identity(one) for one in failed}

    parsing.run(str(database), is_fixed=True)
    assert len(letters(database)) == 1000
    results = Counter(m.value for m in messages(database, "parsed"))
    assert results == Counter(b"item %d" % n for n in range(total))

    assert replay(database) == 0
    assert len(messages(database, "orders")) == total + 1000


@pytest.mark.integration
def test_a_run_killed_between_writing_dead_letters_and_committing_loses_none_and_repeats_none(database: Path) -> None:
    put(database, "orders", *(Message(b"item %d" % n, key=b"%d" % n) for n in range(2000)))
    command = [sys.executable, "-m", "tests.pipelines.parsing", str(database), "broken"]
    for kills in (1, 2, 3):
        assert subprocess.run([*command, "die"], cwd=ROOT).returncode == -signal.SIGKILL
        assert len(letters(database)) == 20 * kills
    subprocess.run([*command, "lives"], cwd=ROOT, check=True)
    assert len(letters(database)) == 80, "the letters of all runs"
    assert messages(database, "orders", "g") == [], "committed"
    assert replay(database) == 0
    again = [m.value for m in messages(database, "orders")[2000:]]
    assert sorted(again) == sorted(b"item %d" % n for n in range(0, 2000, 100))


@pytest.mark.integration
def test_a_payload_comes_back_byte_for_byte_with_its_key_and_attributes(database: Path) -> None:
    originals = [
        Message(value, b"\xffkey", (("lang", b"en"), ("raw", b"\xfe"), ("lang", b"de")), 5.0, ("orders", 0, i))
        for i, value in enumerate(AWKWARD)
    ]
    dead = [DeadLetter.of(message, ValueError("<script>alert(2)</script>"), step="Work") for message in originals]
    write_letters(database, *dead)
    assert replay(database) == 0
    again = messages(database, "orders")[1:]
    assert [m.value for m in again] == AWKWARD
    for message, one in zip(again, originals, strict=True):
        assert (message.key, message.timestamp) == (one.key, one.timestamp)
        assert [pair for pair in message.attributes if pair[0] not in (MESSAGE_ID, REPLAYS)] == list(one.attributes)


@pytest.mark.integration
def test_where_chooses_letters_and_the_others_can_be_replayed_later(database: Path) -> None:
    write_letters(database, *(letter(n, TimeoutError if n % 2 else KeyError) for n in range(6)))
    assert replay(database, "--where", 'error_type == "TimeoutError" && attempts < 5') == 0
    assert sent(database) == [b"1", b"3", b"5"]
    assert replay(database, "--where", 'error_type == "TimeoutError"') == 0
    assert sent(database) == [b"1", b"3", b"5"]
    assert (
        replay(database, "--where", 'attributes["lang"] == "en" && last_failed_at < timestamp("2000-01-01T00:00:00Z")')
        == 0
    )
    assert sent(database) == [b"1", b"3", b"5", b"0", b"2", b"4"]


@pytest.mark.integration
def test_a_letter_whose_text_cel_would_cut_off_is_kept_and_is_replayed_by_another_condition(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(database, letter(1, payload=b"1\0secret"), letter(2, attributes=(("id", b"\0\0\0\7"),)), letter(3))
    for condition in ('payload == "1"', '!payload.contains("secret") && attributes["id"] == ""', 'payload == "3"'):
        assert replay(database, "--where", condition) == 0
    assert sent(database) == [b"3"]
    shown = capsys.readouterr().err
    reason = "contains the character U+0000, at which CEL would cut its text off"
    assert shown.count(f"1 kept: --where has no value: payload {reason}") == 3
    assert shown.count(f"1 kept: --where has no value: attributes {reason}") == 1
    assert replay(database, "--where", 'step == "Work"') == 0
    assert sent(database) == [b"3", b"1\0secret", b"2"]


@pytest.mark.integration
def test_kept_letters_are_put_back_unchanged_and_only_if_another_letter_moves(database: Path) -> None:
    dead = [letter(n) for n in range(3)]
    write_letters(database, *dead)
    assert replay(database, "--where", "false") == 0
    assert letters(database) == dead
    assert replay(database, "--limit", "1") == 0
    assert letters(database, group="replay") == dead[1:]


@pytest.mark.integration
def test_the_limit_chooses_the_items_that_failed_first(database: Path) -> None:
    write_letters(database, *(letter(n) for n in (5, 1, 4, 2, 3)))
    assert replay(database, "--limit", "2") == 0
    assert sorted(sent(database)) == [b"1", b"2"]
    assert replay(database, "--limit", "2") == 0
    assert sorted(sent(database)) == [b"1", b"2", b"3", b"4"]


@pytest.mark.integration
def test_several_letters_about_one_item_send_it_once(database: Path) -> None:
    first, second = letter(1), letter(1)._replace(last_failed_at=9.0, step="Other")
    write_letters(database, first, second, first, letter(2))
    assert replay(database) == 0
    assert sorted(sent(database)) == [b"1", b"2"]


def test_items_without_any_identity_are_all_sent(database: Path) -> None:
    write_letters(database, *(letter(1, source="") for _ in range(3)))
    assert replay(database, "--to", f"sqlite://{database}?topic=orders") == 0
    assert sent(database) == [b"1", b"1", b"1"]


def test_an_item_created_in_the_pipeline_is_kept_unless_to_names_its_queue(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(database, letter(1, source=""), letter(2))
    assert replay(database) == 0
    assert sent(database) == [b"2"]
    assert (
        "1 kept: created in the pipeline, so the item has no source queue; name the target with --to"
        in capsys.readouterr().err
    )


def test_a_dry_run_changes_nothing(database: Path) -> None:
    write_letters(database, *(letter(n) for n in range(3)))
    before = messages(database, "dead")
    assert replay(database, "--dry_run") == 0
    assert (messages(database, "dead"), messages(database, "dead", "replay"), sent(database)) == (before, before, [])


def test_items_that_were_sent_back_too_often_are_listed_and_kept(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(database, letter(1, sent_back=3), letter(2, sent_back=2))
    assert replay(database) == 0
    shown = capsys.readouterr().err
    assert "1 items were sent back 3 times already and stay in the queue:" in shown
    assert f"  {identity(letter(1))}  Work: ValueError: no 1" in shown
    assert sent(database) == [b"2"]
    assert [replays(one) for one in letters(database, group="replay")] == [3]


def test_items_that_were_sent_back_too_often_go_to_their_own_queue(database: Path) -> None:
    write_letters(database, letter(1, sent_back=3), letter(2, sent_back=2))
    assert replay(database, "--refused", f"sqlite://{database}?topic=hopeless") == 0
    assert [one.payload for one in letters(database, "hopeless")] == [b"1"]
    assert letters(database, group="replay") == []


@pytest.mark.integration
def test_the_journal_shows_how_many_items_are_resolved_and_how_many_failed_again(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(database, *(letter(n) for n in range(3)))
    journal = ("--journal", f"sqlite://{database}?topic=journal&group=j")
    assert replay(database, *journal) == 0
    assert [m.json()["message_id"] for m in messages(database, "journal")] == [identity(letter(n)) for n in range(3)]
    failed_again = messages(database, "orders")[1]
    put(database, "dead", DeadLetter.of(failed_again, ValueError("still"), step="Work").as_message())
    capsys.readouterr()
    assert replay(database, *journal, "--dry_run") == 0
    assert "of 3 sent back before, 1 failed again, 2 are resolved" in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_journal_records_which_letters_in_files_were_replayed(database: Path, tmp_path: Path, kind: str) -> None:
    put(database, "orders", Message(b"0"))
    path = tmp_path / f"dead.{kind}"
    writer = open_queue(str(path)).writer()
    writer.write([letter(n).as_message() for n in range(3)])
    assert writer.flush() == []
    arguments = ["--dead_letters", str(path), "--to", f"sqlite://{database}?topic={{queue}}"]
    arguments += ["--journal", f"sqlite://{database}?topic=journal&group=j"]
    for _ in range(2):
        assert replay_dead_letters.run(arguments) == 0
        assert sent(database) == [b"0", b"1", b"2"]


@pytest.mark.integration
def test_a_message_that_is_not_a_dead_letter_is_kept(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_letters(database, letter(1))
    put(database, "dead", Message(b"hello", b"k"))
    assert replay(database) == 0
    assert sent(database) == [b"1"]
    assert [(m.value, m.key) for m in messages(database, "dead", "replay")] == [(b"hello", b"k")]
    assert "1 kept: this message is not a dead letter: it has no attributes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--where", 'step == "A" &&'],
            "--where: syntax error in 'step == \"A\" &&' at character 15: mismatched input '<EOF>'",
        ),
        (["--where", "attempts"], "--where: 'attempts' is not a condition: its type is INT, not true or false"),
        (["--where", "atempts < 5"], "--where: error in 'atempts < 5' at character 1: undeclared reference"),
        (["--journal", "kafka://h:1/sent"], "--journal: 'kafka://h:1/sent' names no group, under which positions are"),
        (["--refused", "sqlite:///q.db?topic=dead"], "--refused would be written to sqlite:///q.db?topic=dead, from"),
        (["--limit", "-1"], "--limit and --rate must be 0 or more, --most_replays 1 or more"),
        (["--to", "sqlite:///q.db?topic=dead"], "--to would be written to sqlite:///q.db?topic=dead, from which"),
        (
            ["--dead_letters", "/data/dead.jsonl", "--dry_run"],
            "--to: the letters in /data/dead.jsonl name their source queue, but",
        ),
        (
            ["--dead_letters", "pubsub://p/dead-replay", "--to", "pubsub://p/orders"],
            "--dead_letters: pubsub://p/dead-replay is a subscription, and messages are appended to its topic; "
            "add ?topic=NAME",
        ),
        (
            ["--dead_letters", "/data/dead.jsonl"],
            "--journal: /data/dead.jsonl has no group that records which letters were replayed",
        ),
    ],
)
def test_wrong_use_is_a_sentence_before_anything_starts(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--dead_letters", "sqlite:///q.db?topic=dead&group=g", *arguments]
    assert replay_dead_letters.run(given) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_a_source_queue_that_does_not_exist_is_not_created(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(database, "dead", letter(1).as_message())
    assert replay(database) == 1
    shown = capsys.readouterr().err
    assert (
        f"the items' source queue is sqlite://{database}?topic=orders, but the database {database} has no topic"
        in shown
    )
    assert len(messages(database, "dead", "replay")) == 1


@pytest.mark.integration
def test_with_a_rate_everything_arrives(database: Path) -> None:
    write_letters(database, *(letter(n) for n in range(20)))
    assert replay(database, "--rate", "200") == 0
    assert sorted(sent(database)) == sorted(b"%d" % n for n in range(20))


@pytest.mark.parametrize("more", [[], ["--to", "kafka://localhost:9092/{queue}"], ["--to", "pubsub://project/{queue}"]])
def test_letters_in_kafka_go_back_to_the_queue_that_each_of_them_names(more: list[str]) -> None:
    given = ["--dead_letters", "kafka://localhost:9092/dead?group=replay", *more, "--rate", "5"]
    options, _ = replay_dead_letters.ReplayDeadLettersOptions.parse(given)
    assert options.rules().to.uri == (more[1] if more else "kafka://localhost:9092/{queue}")
